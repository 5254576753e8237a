//! `corebid price decrypt`: what is inside an exchange-encrypted price, without a bidder.

use clap::Subcommand;

use crate::commands::Failure;
use crate::secrets::Key;
use crate::wire::price_cipher::PriceCipher;

/// Encrypted prices.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the number inside an encrypted price: micros per thousand impressions for Authorized Buyers, per impression for
    /// OpenX. An empty, malformed or wrongly signed price ends with exit code 1
    Decrypt(Decrypt),
}

#[derive(Debug, clap::Args)]
struct Decrypt {
    /// 32 bytes in base64 of either alphabet, padded or not, or 64 hexadecimal digits
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    encryption_key: String,
    /// In the same form
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    integrity_key: String,
    /// What the exchange put in the place of its price macro
    #[arg(value_name = "STRING", allow_hyphen_values = true)]
    price: String,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let Action::Decrypt(Decrypt { encryption_key, integrity_key, price }) = &args.action;
    let key = |name: &str, text: &str| {
        Key::from_text(text).ok_or_else(|| {
            Failure::usage(format!("--{name}: not a key: 32 bytes in base64, or 64 hexadecimal digits, are wanted"))
        })
    };
    let cipher = PriceCipher::new(&key("encryption-key", encryption_key)?.0, &key("integrity-key", integrity_key)?.0);
    println!("{}", cipher.decrypt(price.as_bytes())?);
    Ok(())
}
