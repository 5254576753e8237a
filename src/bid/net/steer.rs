//! Receive steering: a connection goes to the bid core of the CPU that receives its packets, instead of to one drawn by a hash.
//!
//! The listeners of a port are a group, and the kernel asks the group's program which of them takes a SYN. Ours answers with the place
//! of the listener whose core runs on the CPU that is handling the packet; a CPU without a bid core gets an answer outside the group,
//! for which the kernel draws by its hash, as it does without a program. docs/STEERING.md has what must hold for this to be worth
//! anything.

use std::io;
use std::os::fd::RawFd;

use super::listener::{Listener, set};

/// How the kernel chooses among the listeners of the bid port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Steering {
    /// By a hash of the addresses and ports.
    #[default]
    Off,
    /// By the CPU that receives.
    Cpu,
}

/// An answer that no group is large enough for: the kernel draws.
const DRAW: u32 = u32::MAX;

/// Steers by CPU: what CPU `cpus[n]` receives goes to the listener that was the n-th to listen. Called once, with the listener that
/// will be the first, while none of them listens.
///
/// The program comes with the first listener and the others join its group, so that it is never exchanged while packets run
/// through it, and no other process's group is touched.
///
/// # Errors
/// Somebody else listens there, whose listeners would be counted among ours; or the kernel takes no such program.
pub fn attach(first: &Listener, cpus: &[usize]) -> io::Result<()> {
    // Sockets of one user may share a port: that ours is bound says nothing.
    Listener::claim(first.address()?)?;
    let instructions = program(cpus);
    let len = u16::try_from(instructions.len()).expect("two instructions for each of a few CPUs");
    // The kernel copies the program, and writes nothing.
    let program = libc::sock_fprog { len, filter: instructions.as_ptr().cast_mut() };
    set(first.fd(), libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, program)
}

/// Which CPU received the last packet of a connection; `None` if the kernel does not say.
pub(super) fn receiving_cpu(fd: RawFd) -> Option<usize> {
    let (mut cpu, mut length) = (-1, size_of::<i32>() as libc::socklen_t);
    // SAFETY: both places are writable, the first for `length` bytes, for the length of the call.
    let got = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_INCOMING_CPU, (&raw mut cpu).cast(), &raw mut length)
    };
    (got == 0).then(|| usize::try_from(cpu).ok())?
}

/// Classic BPF: loads the number of the CPU and compares it with each of the list. It runs once per connection.
fn program(cpus: &[usize]) -> Vec<libc::sock_filter> {
    let instruction = |code: u32, jf, k| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let receiving = libc::SKF_AD_OFF.cast_unsigned().wrapping_add(libc::SKF_AD_CPU.cast_unsigned());
    let mut program = vec![instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, receiving)];
    for (place, &cpu) in (0..).zip(cpus) {
        program.push(instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, cpu as u32));
        program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, place));
    }
    program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, DRAW));
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::topology::Topology;
    use crate::units::Nanos;
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::thread;

    /// What a machine of classic BPF answers on this CPU.
    fn answer(program: &[libc::sock_filter], cpu: u32) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let libc::sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            match u32::from(code) & 0x07 {
                libc::BPF_LD => accumulator = cpu,
                libc::BPF_JMP => at += usize::from(if accumulator == k { jt } else { jf }),
                libc::BPF_RET => return k,
                other => panic!("class {other} is not in use"),
            }
        }
    }

    #[test]
    fn each_cpu_of_a_core_has_its_place_and_others_none() {
        let cpus = [7, 0, 300, 2];
        let program = program(&cpus);
        for cpu in 0..400 {
            let place = cpus.iter().position(|&known| known == cpu).map_or(DRAW, |place| place as u32);
            assert_eq!(answer(&program, cpu as u32), place, "CPU {cpu}");
        }
    }

    /// On loopback the CPU that sends is the one that receives.
    fn connect_on(cpu: usize, address: SocketAddr) -> TcpStream {
        let connect = move || {
            assert!(core_affinity::set_for_current(core_affinity::CoreId { id: cpu }));
            TcpStream::connect(address).unwrap()
        };
        thread::spawn(connect).join().unwrap()
    }

    fn takes(listener: &Listener) -> Option<OwnedFd> {
        listener.set_nonblocking().unwrap();
        let none = std::ptr::null_mut();
        // SAFETY: the kernel takes null for the address and its length.
        let fd = unsafe { libc::accept4(listener.fd(), none, none.cast(), libc::SOCK_CLOEXEC) };
        // SAFETY: the kernel just opened this descriptor for us.
        (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// The next connection, and which listener has it. Whoever connects may be done before the last packet of it is received.
    fn next(listeners: &[Listener]) -> Option<(usize, OwnedFd)> {
        let until = clock::boot().after(Nanos::SECOND);
        loop {
            let found = listeners.iter().enumerate().find_map(|(by, listener)| Some((by, takes(listener)?)));
            if found.is_some() || clock::boot() >= until {
                return found;
            }
            thread::yield_now();
        }
    }

    fn any() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
    }

    #[test]
    fn a_connection_goes_to_the_listener_of_the_receiving_cpu() {
        let mut cpus: Vec<usize> = Topology::allowed().into_iter().take(4).collect();
        for _ in 0..cpus.len() {
            // Each CPU has each place in turn.
            cpus.rotate_left(1);
            let first = Listener::reserve(any()).unwrap();
            let address = first.address().unwrap();
            let mut listeners = vec![first];
            listeners.extend(cpus[1..].iter().map(|_| Listener::reserve(address).unwrap()));
            attach(&listeners[0], &cpus).unwrap();
            listeners.iter().for_each(|listener| listener.listen().unwrap());
            for (place, &cpu) in cpus.iter().enumerate() {
                for _ in 0..8 {
                    let _peer = connect_on(cpu, address);
                    let (by, taken) = next(&listeners).expect("somebody takes it");
                    assert_eq!(by, place, "CPU {cpu} of {cpus:?}");
                    assert_eq!(receiving_cpu(taken.as_raw_fd()), Some(cpu));
                }
            }
        }
    }

    #[test]
    fn what_a_cpu_without_a_core_receives_is_still_taken() {
        let cpu = Topology::allowed()[0];
        let first = Listener::reserve(any()).unwrap();
        let address = first.address().unwrap();
        let listeners = [first, Listener::reserve(address).unwrap()];
        attach(&listeners[0], &[cpu + 1000, cpu + 1001]).unwrap();
        listeners.iter().for_each(|listener| listener.listen().unwrap());
        let peers: Vec<_> = (0..64).map(|_| connect_on(cpu, address)).collect();
        let mut taken = [0; 2];
        for _ in &peers {
            let (by, _) = next(&listeners).expect("somebody takes each");
            taken[by] += 1;
        }
        assert!(taken.iter().all(|&taken| taken > 0), "the hash draws both: {taken:?}");
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_steered() {
        let there = Listener::bind(any()).unwrap();
        let ours = Listener::reserve(there.address().unwrap()).expect("one user may share a port");
        assert_eq!(attach(&ours, &[0]).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // Nothing was done to the other's group.
        let _peer = connect_on(Topology::allowed()[0], there.address().unwrap());
        assert!(next(&[there]).is_some());
    }
}
