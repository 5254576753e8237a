use super::*;

/// p50 at 100 us, p99 at 1 ms, and 20 ms at the end; refused beyond p99.9 if so.
fn curve(late: bool) -> Curve {
    let points = (0..=120)
        .map(|step| {
            let nines = f64::from(step) / 24.0;
            let ns = 10f64.powf(4.85 + nines * 0.5) as u64;
            Point { one_in: 10f64.powf(nines), ns, refused: late && nines > 3.0 }
        })
        .collect();
    Curve { name: "a < b".to_owned(), points }
}

#[test]
fn the_svg_is_one_that_can_be_read() {
    for late in [false, true] {
        let text = svg("R & D", "5 < 6", &[curve(late)]);
        let document = roxmltree::Document::parse(&text).expect("XML");
        let texts: Vec<&str> =
            document.descendants().filter(|node| node.has_tag_name("text")).filter_map(|node| node.text()).collect();
        for tick in
            ["R & D", "5 < 6", "0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "100 us", "1 ms", "10 ms"]
        {
            assert!(texts.contains(&tick), "{tick} in {texts:?}");
        }
        assert_eq!(texts.iter().any(|text| text.contains("not measured")), late);
        assert_eq!(text.contains("url(#refused)"), late);
        assert_eq!(text.contains("stroke-dasharray"), late);
        // A latency that was refused is not written at the curve.
        let marked = |name: &str| texts.iter().any(|text| text.starts_with(name) && text.ends_with("s"));
        assert_eq!((marked("p50 "), marked("p99 "), marked("p99.99 ")), (true, true, !late));
    }
    let several = svg("two", "", &[curve(false), Curve { name: "other".into(), ..curve(false) }]);
    assert!(several.contains(">a &lt; b<") && several.contains(">other<"), "{several}");
    assert!(svg("none", "", &[]).contains("nothing was answered"));
}

/// The height of the line in dots, from its Braille letters alone.
fn heights(text: &str) -> Vec<Option<usize>> {
    let rows: Vec<Vec<char>> =
        text.lines().filter_map(|line| line.split_once('│')).map(|(_, letters)| letters.chars().collect()).collect();
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let bits = |row: usize, column: usize| rows[row].get(column).map_or(0, |letter| *letter as u32 - 0x2800);
    (0..width * 2)
        .map(|x| {
            let masks = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]][x % 2];
            (0..rows.len() * 4).find(|y| bits(y / 4, x / 2) & masks[y % 4] != 0).map(|y| rows.len() * 4 - 1 - y)
        })
        .collect()
}

#[test]
fn the_terminal_shows_a_line_that_rises_and_fits() {
    for columns in [10, 40, 80, 137, 500] {
        let text = terminal(&curve(true), columns);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= columns.clamp(40, 140), "{widest}\n{text}");
        let heights: Vec<usize> = heights(&text).into_iter().map(|height| height.expect("no gap")).collect();
        assert!(heights.is_sorted() && heights[heights.len() - 1] > heights[0] + 30, "{text}");
        assert!(text.contains("90 %") && text.contains(" 1 ms") && text.contains('×'), "{text}");
    }
    assert!(!terminal(&curve(false), 80).contains('×'));
    assert_eq!(terminal(&Curve { name: String::new(), points: Vec::new() }, 80), "  nothing was answered");
}
