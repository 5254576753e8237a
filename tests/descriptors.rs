//! A core that runs out of descriptors serves the connections it has, does not spin, and takes the others when it can.
//! Alone in its process: the limit is the process's.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use corebid::bid::net::{Listener, Waiting};
use corebid::bid::server::{Backend, CoreNet, run_core};
use corebid::lab::floor::FloorService;
use corebid::ring::wake::{self, Wake as _};
use corebid::wire::http::answer;

/// Descriptors open in this process.
fn open() -> u64 {
    std::fs::read_dir("/proc/self/fd").unwrap().count() as u64
}

fn limit(soft: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is writable, then readable, for the length of the calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = soft.min(limit.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

fn ask(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut bytes = [0; answer::NO_CONTENT.len()];
    stream.read_exact(&mut bytes)?;
    assert_eq!(bytes, answer::NO_CONTENT);
    Ok(())
}

fn serve(backend: Backend) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    let (waker, wakeup) = wake::pair().unwrap();
    let stop = AtomicBool::new(false);
    // All wait in the backlog with their request before the core runs.
    let mut streams: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let core = CoreNet { backend, waiting: Waiting::Block, ..CoreNet::default() };
    std::thread::scope(|scope| {
        // One for the ring or the epoll, and a few connections.
        limit(open() + 8);
        let thread = scope.spawn(|| run_core(&core, listener, wakeup, FloorService::until(&stop), || {}).unwrap());
        streams[0].set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut served: Vec<_> = streams.iter_mut().map(|stream| ask(stream).is_ok()).collect();
        assert!(served.contains(&true) && served.contains(&false), "{served:?}");
        // Those that were served make room for those that were not.
        for _ in 0..200 {
            for (index, stream) in streams.iter_mut().enumerate() {
                if served[index] {
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                } else {
                    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                    served[index] = ask(stream).is_ok();
                }
            }
            if !served.contains(&false) {
                break;
            }
        }
        limit(4096);
        stop.store(true, Ordering::Relaxed);
        waker.wake();
        let counters = thread.join().unwrap();
        assert!(served.iter().all(|served| *served), "{served:?}");
        assert_eq!((counters.accepted, counters.answered), (40, 40));
        // It ran for seconds; waiting 50 ms between attempts it cannot have turned often.
        assert!(counters.turns < 5_000, "{counters:?}");
    });
}

#[test]
fn exhausted_descriptors_neither_stop_nor_spin_the_loop() {
    serve(Backend::Epoll);
    serve(Backend::IoUring);
}
