//! Who is read next, when there is more than can be answered: against a model that is slow and obvious, and over classes that ask
//! for more than their share.

use corebid::bid::net::intake::{Intake, OLDEST_EVERY, PATIENCE_NS};
use corebid::bid::net::{Class, Conn};
use corebid::units::Nanos;
use proptest::prelude::*;

/// The lines as lists, oldest first. Whose turn it is among the classes is checked apart: here any class may be next.
#[derive(Default)]
struct Model {
    lines: Vec<(Class, Vec<(Conn, Nanos)>)>,
    picks: Vec<(Class, u32)>,
}

impl Model {
    fn line(&mut self, class: Class) -> &mut Vec<(Conn, Nanos)> {
        if !self.lines.iter().any(|(of, _)| *of == class) {
            self.lines.push((class, Vec::new()));
        }
        &mut self.lines.iter_mut().find(|(of, _)| *of == class).unwrap().1
    }

    fn push(&mut self, conn: Conn, class: Class, since: Nanos) {
        if self.lines.iter().any(|(_, line)| line.iter().any(|(waits, _)| *waits == conn)) {
            return;
        }
        let line = self.line(class);
        match line.last() {
            Some((_, newest)) if since < *newest => line.insert(0, (conn, since)),
            _ => line.push((conn, since)),
        }
    }

    fn remove(&mut self, conn: Conn) -> Option<Nanos> {
        for (_, line) in &mut self.lines {
            if let Some(at) = line.iter().position(|(waits, _)| *waits == conn) {
                return Some(line.remove(at).1);
            }
        }
        None
    }

    /// Whom the class of `conn` may have read next.
    fn next(&mut self, class: Class, now: Nanos) -> (Conn, Nanos) {
        if !self.picks.iter().any(|(of, _)| *of == class) {
            self.picks.push((class, 0));
        }
        let picks = &mut self.picks.iter_mut().find(|(of, _)| *of == class).unwrap().1;
        let line = &mut self.lines.iter_mut().find(|(of, _)| *of == class).unwrap().1;
        let waits = now.0.saturating_sub(line[0].1.0);
        if waits < PATIENCE_NS {
            return line.remove(0);
        }
        *picks += 1;
        if *picks % OLDEST_EVERY == 0 { line.remove(0) } else { line.pop().unwrap() }
    }

    fn len(&self) -> usize {
        self.lines.iter().map(|(_, line)| line.len()).sum()
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Of this connection, of this class, so much earlier than now.
    Push(u32, u16, u64),
    Pop,
    Remove(u32),
    /// Another connection gets this place.
    Renew(u32),
    Charge(u16, u32),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..40u32, 0..4u16, 0..3_000_000u64).prop_map(|(conn, class, ago)| Step::Push(conn, class, ago)),
        5 => Just(Step::Pop),
        1 => (0..40u32).prop_map(Step::Remove),
        1 => (0..40u32).prop_map(Step::Renew),
        1 => (0..4u16, 0..100u32).prop_map(|(class, requests)| Step::Charge(class, requests)),
        2 => (0..1_500_000u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn everybody_is_served_once_and_in_the_order_of_the_model(steps in steps()) {
        let (mut intake, mut model) = (Intake::new(1000), Model::default());
        let mut now = Nanos(Nanos::SECOND);
        let mut generations = [0u32; 40];
        let mut classes = [Class(0); 40];
        let served = |intake: &mut Intake, model: &mut Model, classes: &[Class; 40], now| {
            let popped = intake.pop(now);
            match popped {
                None => assert_eq!(model.len(), 0, "somebody waits and is not served"),
                Some((conn, since)) => {
                    assert_eq!((conn, since), model.next(classes[conn.index as usize], now));
                }
            }
            popped.is_some()
        };
        for step in steps {
            match step {
                Step::Push(index, class, ago) => {
                    let conn = Conn { index, generation: generations[index as usize] };
                    if !intake.holds(conn) {
                        classes[index as usize] = Class(class);
                    }
                    let since = Nanos(now.0 - ago);
                    intake.push(conn, Class(class), since);
                    model.push(conn, Class(class), since);
                }
                Step::Pop => {
                    served(&mut intake, &mut model, &classes, now);
                }
                Step::Remove(index) => {
                    let conn = Conn { index, generation: generations[index as usize] };
                    prop_assert_eq!(intake.remove(conn), model.remove(conn));
                    prop_assert_eq!(intake.remove(conn), None);
                }
                Step::Renew(index) => {
                    let conn = Conn { index, generation: generations[index as usize] };
                    prop_assert_eq!(intake.remove(conn), model.remove(conn));
                    generations[index as usize] += 1;
                    let renewed = Conn { index, generation: generations[index as usize] };
                    prop_assert!(!intake.holds(renewed));
                }
                Step::Charge(class, requests) => intake.charge(Class(class), requests),
                Step::Pass(ns) => now = now.after(ns),
            }
            prop_assert_eq!(intake.len(), model.len());
        }
        while served(&mut intake, &mut model, &classes, now) {}
        prop_assert!(intake.is_empty());
    }

    /// However many wait in each class and whatever their requests bring: over any stretch in which two classes have somebody waiting,
    /// their shares of the requests differ by no more than what one connection can bring at a time, and a round.
    #[test]
    fn classes_get_the_same_share_of_the_requests(
        brings in prop::collection::vec(1..30u32, 2..6),
        surge in 0..6usize,
        serves in 50..500usize,
    ) {
        let mut intake = Intake::new(1000);
        let mut index = 0;
        let mut push = |intake: &mut Intake, class: usize| {
            intake.push(Conn { index, generation: 0 }, Class(class as u16), Nanos(1));
            index += 1;
        };
        for class in 0..brings.len() {
            // The surging class has a thousand waiting, the others one at a time.
            (0..if class == surge { 1000 } else { 2 }).for_each(|_| push(&mut intake, class));
        }
        let mut requests = vec![0u32; brings.len()];
        let mut class_of: Vec<usize> = Vec::new();
        for class in 0..brings.len() {
            class_of.extend(std::iter::repeat_n(class, if class == surge { 1000 } else { 2 }));
        }
        for _ in 0..serves {
            let (conn, _) = intake.pop(Nanos(2)).unwrap();
            let class = class_of[conn.index as usize];
            requests[class] += brings[class];
            intake.charge(Class(class as u16), brings[class] - 1);
            push(&mut intake, class);
            class_of.push(class);
        }
        let (least, most) = (requests.iter().min().unwrap(), requests.iter().max().unwrap());
        let bound = 2 * brings.iter().max().unwrap() + 2;
        prop_assert!(most - least <= bound, "{:?} of connections that bring {:?}", requests, brings);
    }
}

#[test]
fn a_long_line_is_served_from_its_newest_and_its_oldest_is_not_forgotten() {
    let mut intake = Intake::new(1000);
    let class = Class(3);
    let conn = |index| Conn { index, generation: 7 };
    for index in 0..100 {
        intake.push(conn(index), class, Nanos(u64::from(index)));
    }
    // As long as nobody waits for long, in order.
    assert_eq!(intake.pop(Nanos(100)), Some((conn(0), Nanos(0))));
    let late = Nanos(PATIENCE_NS + 200);
    let served: Vec<u32> = (0..32).map(|_| intake.pop(late).unwrap().0.index).collect();
    let newest: Vec<u32> = (0..15).map(|nth| 99 - nth).collect();
    assert_eq!(served[..15], newest);
    assert_eq!(served[15], 1);
    assert_eq!(served[31], 2);
    assert_eq!(intake.remove(conn(50)), Some(Nanos(50)));
    let mut rest = 0;
    while let Some((conn, _)) = intake.pop(late) {
        assert_ne!(conn.index, 50);
        rest += 1;
    }
    assert_eq!(rest, 100 - 1 - 32 - 1);
}
