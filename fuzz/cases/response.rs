//! Bid responses: what was put into one is what `serde_json` and the market read out of it, whatever room there is.

use corebid::market::auction::BidResponse;
use corebid::units::{BidId, CpmMicros};
use corebid::wire::openrtb::request::Size;
use corebid::wire::openrtb::response::{Bid, MarkupType, ResponseWriter, SEAT_BYTES};
use serde_json::{Value, json};

#[path = "support/recipe.rs"]
mod recipe;

use recipe::Recipe;

/// A text as it stands between the quotes of JSON.
fn inside(text: &str) -> Vec<u8> {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].into()
}

fn quoted(text: &str) -> Vec<u8> {
    Value::from(text).to_string().into()
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let mut recipe = Recipe(input);
    let mut room = vec![0xff; usize::from(recipe.u16() & 0x1fff)];
    let (request, seat, group) = (recipe.text(), recipe.text(), recipe.u8() & 1 == 1);
    let seat = if inside(&seat).len() <= SEAT_BYTES { seat } else { String::new() };
    let mut writer = ResponseWriter::new(&mut room, &inside(&request));
    let mut bids = Vec::new();
    while !recipe.is_over() && bids.len() < 8 {
        let (expected, fits) = one(&mut recipe, &mut writer);
        if fits {
            bids.push(expected);
        }
    }
    let Some(length) = writer.finish(&inside(&seat), group, b"EUR") else {
        assert!(bids.is_empty(), "there is always room for the end");
        return;
    };
    let mut expected = json!({"id": request, "cur": "EUR", "seatbid": [{"bid": bids}]});
    if !seat.is_empty() {
        expected["seatbid"][0]["seat"] = seat.into();
    }
    if group {
        expected["seatbid"][0]["group"] = 1.into();
    }
    assert_eq!(serde_json::from_slice::<Value>(&room[..length]).expect("JSON"), expected);
    serde_json::from_slice::<BidResponse<'_>>(&room[..length]).expect("what the market reads");
    assert!(room[length..].len() < room.len());
}

/// Writes a bid; what it must read as, and whether it fits.
fn one(recipe: &mut Recipe<'_>, writer: &mut ResponseWriter<'_>) -> (Value, bool) {
    let flags = recipe.u32();
    let has = |bit: u32| flags >> bit & 1 == 1;
    // A float tells all of these from each other.
    let price = CpmMicros(1 + (recipe.u64() % 1_000_000_000_000_000).cast_signed());
    let (imp, text, markup) = (recipe.text(), recipe.text(), recipe.text());
    let (number, small) = (recipe.u16(), recipe.u8());
    let id = BidId(std::array::from_fn(|at| (flags >> (at % 32)) as u8));
    let (raw, json) = (inside(&text), quoted(&text));
    let list = Value::from(vec![text.as_str()]).to_string();
    let dsa = format!(r#""transparency":[{{"domain":{}}}]"#, Value::from(text.as_str()));
    let bid = Bid {
        id,
        imp: &inside(&imp),
        price,
        deal: has(0).then_some(&raw),
        win_url: has(1).then_some(&raw),
        bill_url: has(2).then_some(&raw),
        loss_url: has(3).then_some(&raw),
        adomain: list.as_bytes(),
        campaign: &json,
        creative: &json,
        registered: has(4),
        preview: has(5).then_some(&json),
        app: has(6).then_some(&json),
        cat: if has(7) { list.as_bytes() } else { b"[]" },
        cattax: number,
        attr: if has(8) { u64::from(flags) << 1 } else { 0 },
        language: has(9).then_some(*b"de"),
        size: has(10).then_some(Size { w: number, h: small.into() }),
        duration: has(11).then_some(number),
        protocol: has(12).then_some(small),
        slot_in_pod: has(13).then_some(small.cast_signed()),
        kind: has(14).then_some(
            [MarkupType::Banner, MarkupType::Video, MarkupType::Audio, MarkupType::Native][usize::from(small & 3)],
        ),
        dsa: has(15).then_some([br#""adrender":1,"#, dsa.as_bytes()]),
    };
    let fits = writer.bid(&bid, |out| out.put(&inside(&markup)));
    let hex: String = id.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut expected = json!({
        "id": hex, "impid": imp, "price": price.0 as f64 / 1e6, "adomain": [text], "cid": text, "crid": text,
    });
    // As many places as the number has: a whole one reads as an integer.
    if price.0 % 1_000_000 == 0 {
        expected["price"] = (price.0 / 1_000_000).into();
    }
    let mut also = |is: bool, key: &str, value: Value| {
        if is {
            expected[key] = value;
        }
    };
    also(bid.deal.is_some(), "dealid", text.as_str().into());
    also(bid.win_url.is_some(), "nurl", text.as_str().into());
    also(bid.bill_url.is_some(), "burl", text.as_str().into());
    also(bid.loss_url.is_some(), "lurl", text.as_str().into());
    also(!markup.is_empty(), "adm", markup.as_str().into());
    also(bid.registered, "adid", text.as_str().into());
    also(bid.preview.is_some(), "iurl", text.as_str().into());
    also(bid.app.is_some(), "bundle", text.as_str().into());
    also(has(7), "cat", json!([text]));
    also(has(7) && number != 1, "cattax", number.into());
    let attr: Vec<u32> = (1..64).filter(|bit| bid.attr >> bit & 1 == 1).collect();
    also(!attr.is_empty(), "attr", attr.into());
    also(has(9), "language", "de".into());
    also(has(10), "w", number.into());
    also(has(10), "h", small.into());
    also(has(11), "dur", number.into());
    also(has(12), "protocol", small.into());
    also(has(13), "slotinpod", small.cast_signed().into());
    also(has(14), "mtype", (1 + (small & 3)).into());
    also(has(15), "ext", json!({"dsa": {"adrender": 1, "transparency": [{"domain": text}]}}));
    (expected, fits)
}
