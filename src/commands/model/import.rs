//! `corebid model import`.

use std::path::PathBuf;

use crate::commands::Failure;
use crate::model::forest::Library;
use crate::model::{self, Calibration, archive};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The library that wrote it: LightGBM's text, or XGBoost's JSON or UBJSON
    #[arg(long, value_enum)]
    format: Format,
    /// A calibration to keep with it, in JSON (docs/MODELS.md)
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Words to keep with it, which `show` prints
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// The library's file
    #[arg(value_name = "IN")]
    from: PathBuf,
    /// Where to write the import; a file that is there is replaced
    #[arg(value_name = "OUT")]
    to: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
#[value(rename_all = "lowercase")]
enum Format {
    LightGbm,
    XgBoost,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let library = match args.format {
        Format::LightGbm => Library::LightGbm,
        Format::XgBoost => Library::XgBoost,
    };
    let mut model = model::import(library, &args.from)?;
    if let Some(path) = &args.calibration {
        model.calibration = Calibration::load(path)?;
        model.check().map_err(|what| Failure::new(format!("{}: {what}", path.display())))?;
    }
    model.origin.note.clone_from(&args.note);
    archive::write(&args.to, &model).map_err(|error| Failure::new(format!("{}: {error}", args.to.display())))
}
