//! What is still to be fetched, by host: a host is asked for one file at a time, and hosts take turns.

use std::collections::{HashMap, VecDeque};

/// Jobs by host.
#[derive(Debug)]
pub struct Queue<J> {
    hosts: HashMap<String, Host<J>>,
    /// Hosts with a job and none under way.
    ready: VecDeque<String>,
    /// Jobs that are waiting or under way.
    open: usize,
}

#[derive(Debug)]
struct Host<J> {
    waiting: VecDeque<J>,
    busy: bool,
}

impl<J> Default for Queue<J> {
    fn default() -> Queue<J> {
        Queue { hosts: HashMap::new(), ready: VecDeque::new(), open: 0 }
    }
}

impl<J> Queue<J> {
    /// One more job for a host.
    pub fn push(&mut self, host: &str, job: J) {
        self.open += 1;
        let entry = match self.hosts.get_mut(host) {
            Some(entry) => entry,
            None => self.hosts.entry(host.to_owned()).or_insert(Host { waiting: VecDeque::new(), busy: false }),
        };
        if entry.waiting.is_empty() && !entry.busy {
            self.ready.push_back(host.to_owned());
        }
        entry.waiting.push_back(job);
    }

    /// The next job whose host is free: it is not free again until [`Queue::done`].
    pub fn pop(&mut self) -> Option<(String, J)> {
        let host = self.ready.pop_front()?;
        let entry = self.hosts.get_mut(&host).expect("a host that is ready is known");
        entry.busy = true;
        let job = entry.waiting.pop_front().expect("a host that is ready has a job");
        Some((host, job))
    }

    /// A job of this host is over.
    pub fn done(&mut self, host: String) {
        self.open -= 1;
        let entry = self.hosts.get_mut(&host).expect("a host that was busy is known");
        entry.busy = false;
        if entry.waiting.is_empty() {
            self.hosts.remove(&host);
        } else {
            self.ready.push_back(host);
        }
    }

    /// Nothing is waiting and nothing is under way.
    pub fn is_over(&self) -> bool {
        self.open == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_job_at_a_time_and_hosts_take_turns() {
        let mut queue = Queue::default();
        for (host, job) in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5)] {
            queue.push(host, job);
        }
        assert_eq!(queue.pop(), Some(("a".to_owned(), 1)));
        assert_eq!(queue.pop(), Some(("b".to_owned(), 4)));
        assert_eq!(queue.pop(), None);
        assert!(!queue.is_over());
        queue.done("a".to_owned());
        assert_eq!(queue.pop(), Some(("a".to_owned(), 2)));
        queue.push("a", 6);
        assert_eq!(queue.pop(), None);
        queue.done("b".to_owned());
        queue.done("a".to_owned());
        assert_eq!(queue.pop(), Some(("b".to_owned(), 5)));
        queue.done("b".to_owned());
        assert_eq!(queue.pop(), Some(("a".to_owned(), 3)));
        queue.done("a".to_owned());
        assert_eq!(queue.pop(), Some(("a".to_owned(), 6)));
        assert!(!queue.is_over());
        queue.done("a".to_owned());
        assert!(queue.is_over());
    }
}
