//! Ways of forgetting, by bytes. All but the shipped one are charged what it takes for an entry: a head of 16 bytes, the value to a
//! multiple of 16, and 16 more for index and order.

use std::collections::{HashMap, VecDeque};

use corebid::bid::profile::cache::Cache;

use super::{many, user};

/// A cache of users' values.
pub(crate) trait Policy {
    /// Whether the user was in it. Afterwards it may be.
    fn ask(&mut self, n: u64) -> bool;
}

/// What a user's value takes; the same as it has in the shipped cache.
fn size(n: u64) -> usize {
    32 + length(n).next_multiple_of(16)
}

fn length(n: u64) -> usize {
    6 + 4 * many(n)
}

pub(crate) struct Shipped(Cache);

impl Shipped {
    pub(crate) fn new(bytes: usize) -> Shipped {
        Shipped(Cache::new(bytes))
    }
}

impl Policy for Shipped {
    fn ask(&mut self, n: u64) -> bool {
        match self.0.find(user(n)) {
            Some(found) => {
                self.0.ask(found);
                true
            }
            None => {
                self.0.keep(user(n), &[0; 512][..length(n)], 0);
                false
            }
        }
    }
}

/// One bit per user, one hand.
pub(crate) struct Clock {
    room: usize,
    queue: VecDeque<u64>,
    users: HashMap<u64, (usize, bool)>,
}

impl Clock {
    pub(crate) fn new(bytes: usize) -> Clock {
        Clock { room: bytes, queue: VecDeque::new(), users: HashMap::new() }
    }
}

impl Policy for Clock {
    fn ask(&mut self, n: u64) -> bool {
        if let Some((_, used)) = self.users.get_mut(&n) {
            *used = true;
            return true;
        }
        let size = size(n);
        while self.room < size {
            let oldest = self.queue.pop_front().expect("what takes room is in the queue");
            let (of_oldest, used) = self.users.get_mut(&oldest).expect("in both");
            if std::mem::take(used) {
                self.queue.push_back(oldest);
            } else {
                self.room += *of_oldest;
                self.users.remove(&oldest);
            }
        }
        self.room -= size;
        self.queue.push_back(n);
        self.users.insert(n, (size, false));
        false
    }
}

/// Users in the order of use: each use has a number, and those of the queue that are not a user's last are passed over.
pub(crate) struct Lru {
    most: usize,
    held: usize,
    uses: u64,
    queue: VecDeque<(u64, u64)>,
    users: HashMap<u64, (usize, u64)>,
}

impl Lru {
    pub(crate) fn new(bytes: usize) -> Lru {
        Lru { most: bytes, held: 0, uses: 0, queue: VecDeque::new(), users: HashMap::new() }
    }

    fn touch(&mut self, n: u64) -> bool {
        self.uses += 1;
        let Some((_, last)) = self.users.get_mut(&n) else { return false };
        *last = self.uses;
        self.queue.push_back((n, self.uses));
        true
    }

    fn insert(&mut self, n: u64, size: usize) {
        self.users.insert(n, (size, 0));
        self.held += size;
        self.touch(n);
    }

    fn oldest(&mut self) -> Option<(u64, usize)> {
        while let Some((n, at)) = self.queue.front().copied() {
            match self.users.get(&n) {
                Some((size, last)) if *last == at => return Some((n, *size)),
                _ => drop(self.queue.pop_front()),
            }
        }
        None
    }

    fn remove(&mut self, n: u64) -> Option<usize> {
        let (size, _) = self.users.remove(&n)?;
        self.held -= size;
        Some(size)
    }

    fn overflow(&mut self) -> Option<(u64, usize)> {
        let (n, size) = if self.held > self.most { self.oldest() } else { None }?;
        self.remove(n);
        Some((n, size))
    }
}

impl Policy for Lru {
    fn ask(&mut self, n: u64) -> bool {
        if self.touch(n) {
            return true;
        }
        self.insert(n, size(n));
        while self.overflow().is_some() {}
        false
    }
}

/// W-TinyLFU (Einziger, Friedman, Manes, 2017): a window of 1 %, a segmented LRU with a fifth on probation, and between them a sketch
/// of four rows that is halved every ten times as many uses as there are entries.
pub(crate) struct TinyLfu {
    window: Lru,
    probation: Lru,
    protected: Lru,
    main: usize,
    sketch: Vec<u8>,
    uses: usize,
    sample: usize,
}

impl TinyLfu {
    pub(crate) fn new(bytes: usize) -> TinyLfu {
        let (window, entries) = (bytes / 100, bytes / 200);
        // Four rows of a byte a counter, of which four bits are used, within the bytes of the cache.
        let row = entries.next_power_of_two();
        let main = bytes - window - 2 * row;
        TinyLfu {
            window: Lru::new(window),
            probation: Lru::new(main),
            protected: Lru::new(main / 5 * 4),
            main,
            sketch: vec![0; 4 * row],
            uses: 0,
            sample: 10 * entries,
        }
    }

    fn counters(&self, n: u64) -> [usize; 4] {
        let (hash, row) = (user(n).0, self.sketch.len() / 4);
        [0, 1, 2, 3]
            .map(|at| at * row + (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15 + 2 * at as u64) >> 20) as usize % row)
    }

    fn count(&mut self, n: u64) {
        for at in self.counters(n) {
            self.sketch[at] = (self.sketch[at] + 1).min(15);
        }
        self.uses += 1;
        if self.uses == self.sample {
            self.uses = 0;
            self.sketch.iter_mut().for_each(|counter| *counter /= 2);
        }
    }

    fn frequency(&self, n: u64) -> u8 {
        self.counters(n).map(|at| self.sketch[at]).into_iter().min().unwrap_or_default()
    }
}

impl Policy for TinyLfu {
    fn ask(&mut self, n: u64) -> bool {
        self.count(n);
        if self.window.touch(n) || self.protected.touch(n) {
            return true;
        }
        if let Some(size) = self.probation.remove(n) {
            self.protected.insert(n, size);
            while let Some((n, size)) = self.protected.overflow() {
                self.probation.insert(n, size);
            }
            return true;
        }
        self.window.insert(n, size(n));
        while let Some((candidate, size)) = self.window.overflow() {
            // It takes the places of those who were asked for less often.
            let mut stays = true;
            while stays && self.probation.held + self.protected.held + size > self.main {
                let victim = self.probation.oldest().or_else(|| self.protected.oldest());
                let Some((victim, _)) = victim else { break };
                stays = self.frequency(candidate) > self.frequency(victim);
                if stays && self.probation.remove(victim).is_none() {
                    self.protected.remove(victim);
                }
            }
            if stays {
                self.probation.insert(candidate, size);
            }
        }
        false
    }
}
