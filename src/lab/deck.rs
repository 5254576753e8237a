//! Which corpus each request comes from: a shuffled deck with as many cards of a corpus as its weight says, played over and over.
//!
//! Request `i` is found from `i` alone, so that generators who share a schedule need not speak, and every deck holds the
//! weights exactly.

use crate::splitmix;

/// Most cards, after weights are divided by what divides them all.
const MOST: u64 = 1 << 20;

/// A shuffled deck.
#[derive(Clone, Debug)]
pub struct Deck {
    /// For each card its corpus, and how many cards of that corpus lie before it.
    cards: Vec<(u32, u32)>,
    /// Cards of each corpus.
    counts: Vec<u32>,
}

impl Deck {
    /// A deck for corpora of these weights, in an order that the seed says; `None` if there is no weight, or they are so uneven
    /// that the deck would have more than a million cards.
    pub fn new(weights: &[u32], seed: u64) -> Option<Deck> {
        let divisor = weights.iter().fold(0, |divisor, weight| common(divisor, *weight));
        let counts: Vec<u32> = weights.iter().map(|weight| weight.checked_div(divisor)).collect::<Option<_>>()?;
        let total: u64 = counts.iter().copied().map(u64::from).sum();
        if !(1..=MOST).contains(&total) {
            return None;
        }
        let mut order: Vec<u32> =
            counts.iter().enumerate().flat_map(|(corpus, count)| (0..*count).map(move |_| corpus as u32)).collect();
        let mut draws = seed;
        for last in (1..order.len()).rev() {
            // Of 64 bits at most a million values are asked: none is preferred by more than 2^-44.
            order.swap(last, (splitmix::next(&mut draws) % (last as u64 + 1)) as usize);
        }
        let mut dealt = vec![0; counts.len()];
        let cards = order
            .into_iter()
            .map(|corpus| {
                let before = dealt[corpus as usize];
                dealt[corpus as usize] += 1;
                (corpus, before)
            })
            .collect();
        Some(Deck { cards, counts })
    }

    /// The corpus of request `index`, and how many requests before it were of that corpus.
    #[inline]
    pub fn card(&self, index: u64) -> (usize, u64) {
        let cards = self.cards.len() as u64;
        let (corpus, before) = self.cards[(index % cards) as usize];
        (corpus as usize, index / cards * u64::from(self.counts[corpus as usize]) + u64::from(before))
    }
}

/// The greatest common divisor.
fn common(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deck_holds_the_weights_and_counts_on() {
        let deck = Deck::new(&[30, 10, 0, 20], 5).expect("a deck");
        let mut seen = [0u64; 4];
        for index in 0..60_000 {
            let (corpus, before) = deck.card(index);
            assert_eq!(before, seen[corpus], "each corpus in its own order");
            seen[corpus] += 1;
            if index % 6 == 5 {
                let deals = index / 6 + 1;
                assert_eq!(seen, [3 * deals, deals, 0, 2 * deals]);
            }
        }
    }

    #[test]
    fn the_seed_shuffles() {
        let order = |seed| {
            let deck = Deck::new(&[500, 500 + 1], seed).expect("a deck");
            (0..1001).map(|index| deck.card(index).0).collect::<Vec<_>>()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let changes = order(1).windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!((400..600).contains(&changes), "not one corpus after the other: {changes}");
    }

    #[test]
    fn one_corpus_is_sent_in_order() {
        let deck = Deck::new(&[7], 9).expect("a deck");
        assert!((0..100).all(|index| deck.card(index) == (0, index)));
    }

    #[test]
    fn weights_that_make_no_deck_are_refused() {
        assert!(Deck::new(&[], 1).is_none() && Deck::new(&[0, 0], 1).is_none());
        assert!(Deck::new(&[u32::MAX, u32::MAX - 1], 1).is_none());
        assert!(Deck::new(&[u32::MAX, u32::MAX], 1).is_some());
    }
}
