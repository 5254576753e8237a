//! Single-producer, single-consumer rings, with the ends as types: an end cannot be cloned, so there is one producer and
//! one consumer because nothing else compiles. What a full ring refuses comes back to the caller and is counted.

use std::mem::MaybeUninit;

use super::message::{Event, Order};
use super::wake::{Wake, Waker};
use crate::limits;

/// Messages taken out of a ring under one release of its places; measured in `benches/ring`.
const CHUNK: usize = 32;

/// The producing end.
#[derive(Debug)]
pub struct Sender<T> {
    ring: rtrb::Producer<T>,
    refused: u64,
}

/// The consuming end.
#[derive(Debug)]
pub struct Receiver<T> {
    ring: rtrb::Consumer<T>,
}

/// Bid core to reconciliation core.
pub type EventSender = Sender<Event>;
/// The reconciliation core's end of a bid core's events.
pub type EventReceiver = Receiver<Event>;
/// A bid core's end of its orders.
pub type OrderReceiver = Receiver<Order>;
/// Owned boxes on their way to another thread, or back to be freed.
pub type BoxSender<T> = Sender<Box<T>>;
/// Where boxes arrive.
pub type BoxReceiver<T> = Receiver<Box<T>>;

/// A full ring gives back what it was offered.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what a ring refused is still the caller's to account for"]
pub struct Refused<T>(pub T);

/// A ring of `capacity` places, all memory taken now.
pub fn ring<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (producer, consumer) = rtrb::RingBuffer::new(capacity);
    (Sender { ring: producer, refused: 0 }, Receiver { ring: consumer })
}

/// Events of one bid core: [`limits::EVENTS`] places.
pub fn events() -> (EventSender, EventReceiver) {
    ring(limits::EVENTS)
}

/// Orders to one bid core: [`limits::ORDERS`] places. `waker` is called after a batch.
pub fn orders<W: Wake>(waker: W) -> (OrderSender<W>, OrderReceiver) {
    let (sender, receiver) = ring(limits::ORDERS);
    (OrderSender { sender, waker, unseen: false }, receiver)
}

/// Boxes to, or from, one bid core: [`limits::SNAPSHOTS_IN_FLIGHT`] places.
pub fn boxes<T>() -> (BoxSender<T>, BoxReceiver<T>) {
    ring(limits::SNAPSHOTS_IN_FLIGHT)
}

impl<T> Sender<T> {
    /// Puts a message into the ring.
    ///
    /// # Errors
    /// The ring is full; the message comes back, and is counted.
    #[inline]
    pub fn offer(&mut self, message: T) -> Result<(), Refused<T>> {
        self.ring.push(message).map_err(|rtrb::PushError::Full(message)| {
            self.refused += 1;
            Refused(message)
        })
    }

    /// Puts all of `messages` into the ring, in order. Whoever takes may see a part of them before the rest.
    ///
    /// # Errors
    /// There is no room for all: none is taken, and one refusal is counted.
    #[inline]
    pub fn offer_all(&mut self, messages: &[T]) -> Result<(), Refused<()>>
    where
        T: Copy,
    {
        self.ring.push_entire_slice(messages).map_err(|_| {
            self.refused += 1;
            Refused(())
        })
    }

    /// Whether the next `count` offers will be taken: nobody else can fill the ring meanwhile.
    #[inline]
    pub fn has_room(&self, count: usize) -> bool {
        self.ring.cached_slots() >= count || self.ring.slots() >= count
    }

    /// Touches every free place, so that no message waits for a page.
    pub fn prefault(&mut self) {
        let free = self.ring.slots();
        if let Ok(mut places) = self.ring.write_chunk_uninit(free) {
            let (first, second) = places.as_mut_slices();
            first.iter_mut().chain(second).for_each(|place| *place = MaybeUninit::zeroed());
        }
    }

    /// Offers refused so far.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Messages the other side has not read.
    pub fn unread(&self) -> usize {
        self.ring.buffer().capacity() - self.ring.slots()
    }

    /// Whether the other end is gone, so that nothing will be read any more.
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

impl<T> Receiver<T> {
    /// The oldest message.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        self.ring.pop().ok()
    }

    /// Hands at most `limit` messages to `each`, oldest first, in chunks. Returns how many.
    #[inline]
    pub fn drain(&mut self, limit: usize, mut each: impl FnMut(T)) -> usize {
        let mut taken = 0;
        while taken < limit {
            let count = self.ring.slots().min(limit - taken).min(CHUNK);
            match self.ring.read_chunk(count) {
                Ok(chunk) if count > 0 => chunk.into_iter().for_each(&mut each),
                _ => break,
            }
            taken += count;
        }
        taken
    }

    /// Fills `messages` with the oldest, if so many are there; whether they were.
    #[inline]
    pub fn fill(&mut self, messages: &mut [T]) -> bool
    where
        T: Copy,
    {
        self.ring.pop_entire_slice(messages).is_ok()
    }

    /// Messages waiting.
    pub fn waiting(&self) -> usize {
        self.ring.slots()
    }

    /// Whether the other end is gone. Messages may still be waiting.
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

/// The reconciliation core's end of a bid core's orders.
#[derive(Debug)]
pub struct OrderSender<W: Wake = Waker> {
    sender: Sender<Order>,
    waker: W,
    unseen: bool,
}

impl<W: Wake> OrderSender<W> {
    /// Puts an order into the ring; the core is woken by [`OrderSender::flush`].
    ///
    /// # Errors
    /// The ring is full; the order comes back, and is counted.
    #[inline]
    pub fn offer(&mut self, order: Order) -> Result<(), Refused<Order>> {
        let offered = self.sender.offer(order);
        self.unseen |= offered.is_ok();
        offered
    }

    /// Touches every free place.
    pub fn prefault(&mut self) {
        self.sender.prefault();
    }

    /// Ends a batch: wakes the core if there is anything new.
    pub fn flush(&mut self) {
        if std::mem::take(&mut self.unseen) {
            self.waker.wake();
        }
    }

    /// Offers refused so far.
    pub fn refused(&self) -> u64 {
        self.sender.refused()
    }

    /// Whether the core is gone.
    pub fn is_abandoned(&self) -> bool {
        self.sender.is_abandoned()
    }

    /// Wakes the core for something other than an order, such as a snapshot.
    pub fn wake(&self) {
        self.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Nanos;
    use std::cell::Cell;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Count(Rc<Cell<u32>>);

    impl Wake for Count {
        fn wake(&self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn a_full_ring_gives_the_message_back_and_counts() {
        let (mut sender, mut receiver) = ring(2);
        assert!(sender.has_room(2) && !sender.has_room(3));
        assert_eq!(sender.offer(1), Ok(()));
        assert_eq!(sender.offer(2), Ok(()));
        assert_eq!(sender.offer(3), Err(Refused(3)));
        assert_eq!((sender.refused(), sender.unread(), receiver.waiting()), (1, 2, 2));
        assert_eq!(receiver.take(), Some(1));
        assert!(sender.has_room(1));
        assert_eq!(sender.offer(3), Ok(()));
        assert_eq!((receiver.take(), receiver.take(), receiver.take()), (Some(2), Some(3), None));
    }

    #[test]
    fn every_message_crosses_once_and_in_order() {
        const MESSAGES: u64 = if cfg!(miri) { 2_000 } else { 200_000 };
        let (mut sender, mut receiver) = ring(100);
        let producer = std::thread::spawn(move || {
            let mut refused = 0;
            for number in 0..MESSAGES {
                while sender.offer(number).is_err() {
                    refused += 1;
                    std::thread::yield_now();
                }
            }
            assert_eq!(sender.refused(), refused);
        });
        let mut expected = 0;
        while expected < MESSAGES {
            let taken = receiver.drain(77, |number| {
                assert_eq!(number, expected);
                expected += 1;
            });
            assert!(taken <= 77);
            if taken == 0 {
                std::thread::yield_now();
            }
        }
        producer.join().unwrap();
        assert!(receiver.is_abandoned() && receiver.take().is_none());
    }

    #[test]
    fn a_batch_of_orders_wakes_once() {
        let count = Count::default();
        let (mut sender, mut receiver) = orders(count.clone());
        sender.flush();
        assert_eq!(count.0.get(), 0);
        for until in 0..3 {
            sender.offer(Order::Renew { until: Nanos(until) }).unwrap();
        }
        sender.flush();
        sender.flush();
        assert_eq!(count.0.get(), 1);
        assert_eq!(receiver.drain(usize::MAX, |_| {}), 3);
    }

    #[test]
    fn what_nobody_read_is_freed_with_the_ring() {
        let (mut sender, receiver) = boxes::<Rc<()>>();
        let kept = Rc::new(());
        sender.offer(Box::new(kept.clone())).unwrap();
        drop((sender, receiver));
        assert_eq!(Rc::strong_count(&kept), 1);
    }
}
