//! What happens next: steps by their time, and in the order in which they were planned where that is the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::time::Time;

/// Planned steps.
#[derive(Debug)]
pub struct Queue<S> {
    heap: BinaryHeap<Reverse<Planned<S>>>,
    planned: u64,
}

#[derive(Debug)]
struct Planned<S> {
    at: Time,
    /// Makes the order total, so that a run repeats.
    number: u64,
    step: S,
}

impl<S> PartialEq for Planned<S> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<S> Eq for Planned<S> {}

impl<S> PartialOrd for Planned<S> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<S> Ord for Planned<S> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<S> Queue<S> {
    /// Nothing is planned.
    pub fn new() -> Self {
        Queue { heap: BinaryHeap::new(), planned: 0 }
    }

    /// Plans a step.
    pub fn plan(&mut self, at: Time, step: S) {
        self.heap.push(Reverse(Planned { at, number: self.planned, step }));
        self.planned += 1;
    }

    /// Takes the next step.
    pub fn take(&mut self) -> Option<(Time, S)> {
        self.heap.pop().map(|Reverse(Planned { at, step, .. })| (at, step))
    }
}

impl<S> Default for Queue<S> {
    fn default() -> Self {
        Queue::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_by_time_and_then_as_planned() {
        let mut queue = Queue::new();
        for (at, step) in [(5, 'c'), (1, 'a'), (5, 'd'), (3, 'b')] {
            queue.plan(at, step);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(order, [(1, 'a'), (3, 'b'), (5, 'c'), (5, 'd')]);
    }
}
