//! No body stops the scanner, and every level of instructions reads the same.

use std::cell::RefCell;

use corebid::wire::json::{Level, Scratch};
use corebid::wire::openrtb::native::NativeRequest;
use corebid::wire::openrtb::request::{BidRequest, scan};

thread_local! {
    static SCRATCHES: RefCell<Vec<Scratch>> = RefCell::new(
        Level::ALL.iter().filter(|level| level.is_available()).map(|&level| Scratch::with_level(1 << 16, level)).collect(),
    );
}

/// Checks one input.
pub(crate) fn check(body: &[u8]) {
    SCRATCHES.with_borrow_mut(|scratches| {
        let mut answers = scratches.iter_mut().map(|scratch| {
            let mut request = BidRequest::default();
            scan(body, scratch, &mut request).map(|()| format!("{request:?}"))
        });
        let first = answers.next();
        assert!(answers.all(|answer| Some(answer) == first));
        let mut request = BidRequest::default();
        drop(answers);
        if scan(body, &mut scratches[0], &mut request).is_ok() {
            let mut buffer = vec![0; body.len()];
            let lists =
                [request.cur, request.bcat, request.acat, request.badv, request.bapp, request.wseat, request.bseat];
            let deals = request.deals.iter().flat_map(|deal| [deal.wseat, deal.wadomain]);
            for list in lists.into_iter().chain(request.categories).chain(deals) {
                for text in list.strings() {
                    let text = text.unescape(&mut buffer).expect("unescaping never lengthens");
                    std::str::from_utf8(text).expect("checked");
                }
            }
            request.gpp_sid.integers().count();
            for native in request.imps.iter().filter_map(|imp| imp.native) {
                let read = |scratch: &mut Scratch, room: &mut [u8]| {
                    let mut read = NativeRequest::default();
                    read.read(native.request, room, scratch).map(|()| format!("{read:?}"))
                };
                let mut answers = scratches.iter_mut().map(|scratch| read(scratch, &mut buffer));
                let first = answers.next();
                assert!(answers.all(|answer| Some(answer) == first));
            }
        }
    });
}
