//! As many connections as the descriptors of this machine allow: silent ones, half requests, and more than there are places.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use corebid::{bounds, limits};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::memory::{bound_of, resident_of};
use crate::support::eventually;
use crate::support::process::Bidder;
use crate::witness::Witness;
use crate::{CROWD, on_both, support::Folder};

/// Whatever soft limit it is started with, it takes the hard one, less what it needs for itself.
#[test]
fn the_limit_of_descriptors_is_raised() {
    let folder = Folder::new("descriptors");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 300; ulimit -Hn 4000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_corebid")]);
    let bidder = Bidder::try_start_on("127.0.0.1", command, &["--demo", "--data", &folder.text("data")]).unwrap();
    let limits_of = std::fs::read_to_string(format!("/proc/{}/limits", bidder.process())).unwrap();
    let line = limits_of.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("4000"), "{line}");
    let log = bidder.log();
    let told = log.split(" cores of ").nth(1).unwrap().split(' ').next().unwrap();
    let cores = log.split("memory bound ").nth(1).unwrap().split(": ").nth(1).unwrap().split(' ').next().unwrap();
    let (told, cores): (usize, usize) = (told.parse().unwrap(), cores.parse().unwrap());
    assert_eq!(told, (4000 - limits::RESERVED_DESCRIPTORS) / cores);
    bidder.stop();
}

on_both! { as_many_connections_as_there_are_descriptors_for }

/// Descriptors of this test's process that are not connections.
const OWN: u64 = 200;

/// A connection from one of eight addresses, so that ports do not run out before descriptors do.
async fn connect(address: SocketAddr, number: usize) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 0, 2 + (number % 8) as u8), 0).into())?;
    socket.connect(address).await
}

fn as_many_connections_as_there_are_descriptors_for(backend: &str) {
    let _turn = CROWD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let descriptors = bounds::raise_descriptors();
    let folder = Folder::new("crowd");
    let bidder = Bidder::demo(&folder.text("data"), backend);
    let witness = Witness::begin(bidder.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let most = (descriptors - OWN) as usize;
    let (held, refused) = runtime.block_on(async {
        let (mut held, mut refused) = (Vec::with_capacity(most), 0);
        for number in 0..most {
            match connect(bidder.address, number).await {
                Ok(mut stream) => {
                    // One in two begins a request and never goes on.
                    if number % 2 == 0 {
                        let _ =
                            stream.write_all(b"POST /openrtb/generic HTTP/1.1\r\nContent-Length: 100\r\n\r\n{").await;
                    }
                    held.push(stream);
                }
                Err(_) => refused += 1,
            }
        }
        (held, refused)
    });
    let open = || {
        bidder.metric("corebid_connections_accepted_total", "") - bidder.metric("corebid_connections_closed_total", "")
    };
    let (reached, resident, bound) = (open(), resident_of(bidder.process()), bound_of(&bidder));
    println!(
        "{backend}: {} connections made of {most}, {refused} refused, {reached} open at the bidder; {} MiB of {} MiB",
        held.len(),
        resident >> 20,
        bound >> 20,
    );
    assert!(resident < bound, "{resident} bytes are above the bound of {bound}");
    // Those that say nothing make room for others, who are served.
    for _ in 0..200 {
        eventually("a place for a new connection", || {
            let Ok(mut client) = crate::support::client::Client::connect(bidder.address) else { return None };
            client.send(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
            (client.answer().ok()?.status == 200).then_some(())
        });
    }
    // Half requests are not waited for longer than they may take.
    let begun =
        bidder.metric("corebid_requests_timed_out_total", "") + bidder.metric("corebid_inputs_pressed_total", "");
    println!("{backend}: {begun} half requests given up so far");
    let given_up = Duration::from_nanos(limits::REQUEST_NS) + Duration::from_secs(5);
    std::thread::sleep(given_up);
    let (timed_out, pressed) =
        (bidder.metric("corebid_requests_timed_out_total", ""), bidder.metric("corebid_inputs_pressed_total", ""));
    println!("{backend}: {timed_out} half requests answered 408 for their time, {pressed} for their memory");
    assert!(timed_out + pressed > 0);
    let seen = witness.end();
    println!("{backend}: beside them {seen:?}");
    drop(held);
    bidder.stop();
}
