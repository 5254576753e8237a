//! What the market saw: a line a second, and a page at the end that a person enjoys reading.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::lab::report::{duration, grouped};
use crate::market::notices::Notices;
use crate::metrics::stage::Stage;
use crate::units::Micros;
use crate::wire::openrtb::nobid::NoBidReason;

/// One second of the market. Its `Display` is a line that stands under [`Second::HEADER`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct Second {
    /// Which second, from 1.
    pub second: u64,
    /// Bid requests sent.
    pub requests: u64,
    /// Bid requests answered.
    pub answered: u64,
    /// Bids received.
    pub bids: u64,
    /// Bids that won.
    pub wins: u64,
    /// Bills acknowledged since the market opened.
    pub billed: Micros,
    /// p50, p99 and p99.9 of the latency from the intended send time, us.
    pub latency: [f64; 3],
    /// No-bids by reason, of the requests that asked for it.
    pub reasons: BTreeMap<String, u64>,
}

impl Second {
    /// The names of the columns.
    pub const HEADER: &'static str =
        "   time  requests    bids    wins        billed        p50        p99      p99.9   why not (sampled)";
}

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>5} s {:>9} {:>7} {:>7} {:>13}",
            self.second,
            grouped(self.requests),
            grouped(self.bids),
            grouped(self.wins),
            dollars(self.billed, 4)
        )?;
        for us in self.latency {
            write!(f, " {:>10}", if self.answered > 0 { duration(us) } else { "-".into() })?;
        }
        let total: u64 = self.reasons.values().sum();
        let mut separator = "   ";
        for (reason, count) in by_count(&self.reasons).into_iter().take(3) {
            write!(f, "{separator}{reason} {:.0} %", percent(count, total))?;
            separator = ", ";
        }
        Ok(())
    }
}

/// The whole market. Times are in microseconds, money is in micros (millionths of a dollar).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Length of the schedule, seconds.
    pub seconds: f64,
    /// Lines of [`Second`] there were.
    pub ran: u64,
    /// Requests per second that were asked for.
    pub asked_rate: u64,
    /// Bid requests sent.
    pub requests: u64,
    /// Bid requests answered.
    pub answered: u64,
    /// Bid requests without an answer.
    pub unanswered: u64,
    /// Bid requests never sent, because no connection became free.
    pub unsent: u64,
    /// Answers later than 8 ms after the intended send time.
    pub late: u64,
    /// Answers by status code.
    pub status: BTreeMap<u16, u64>,
    /// p50, p90, p99, p99.9, p99.99 and the longest latency, from the intended send time.
    pub latency: [f64; 6],
    /// Bids received.
    pub bids: u64,
    /// Bids and responses no exchange could use.
    pub invalid: u64,
    /// Bids that won.
    pub wins: u64,
    /// Their clearing prices.
    pub won_money: Micros,
    /// Bids that a rival beat.
    pub outbid: u64,
    /// Bids below the floor.
    pub below_floor: u64,
    /// Won bids whose impression was shown, so that a bill was to be called.
    pub rendered: u64,
    /// Who clicked.
    pub clicks: Clicks,
    /// No-bids by reason, of the requests that asked for it.
    pub reasons: BTreeMap<String, u64>,
    /// What was told to the bidder, and billed.
    pub notices: Notices,
    /// What the bidder says it booked, by `cid`: filled in by whoever can ask it.
    pub booked: Option<BTreeMap<String, Micros>>,
}

/// Clicks on what was shown, and what they are worth.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Clicks {
    /// Clicks.
    pub clicks: u64,
    /// Clicks as the market knows them to be likely, added up: what the same impressions bring on average.
    pub expected: f64,
    /// Impressions of campaigns that pay by click.
    pub by_click: u64,
    /// What those impressions are worth to them on average, millionths.
    pub worth: f64,
    /// What they paid for them.
    pub paid: Micros,
}

impl Clicks {
    /// Takes note of an impression: how likely a click was, whether there was one, and of a campaign that pays by click what one
    /// is worth and what the impression cost.
    pub(super) fn note(&mut self, likely: f64, clicked: bool, goal: Option<(Micros, Micros)>) {
        self.clicks += u64::from(clicked);
        self.expected += likely;
        if let Some((each, paid)) = goal {
            self.by_click += 1;
            self.worth += likely * each.0 as f64;
            self.paid = self.paid.plus(paid);
        }
    }

    /// What the campaigns that pay by click are better off by, on average, millionths.
    pub fn surplus(&self) -> f64 {
        self.worth - self.paid.0 as f64
    }
}

impl Summary {
    /// Of the no-bids whose reason is known, the share that reached this stage, 0 to 1; `None` without any.
    pub fn reached(&self, stage: Stage) -> Option<f64> {
        let known = NoBidReason::ALL
            .iter()
            .map(|reason| (reason.stage(), self.reasons.get(reason.label()).copied().unwrap_or(0)));
        let total: u64 = known.clone().map(|(_, count)| count).sum();
        let reached: u64 = known.filter(|(at, _)| *at >= stage).map(|(_, count)| count).sum();
        (total > 0).then(|| reached as f64 / total as f64)
    }

    /// The market's account and the bidder's agree, campaign by campaign, to the micro. `None` if the bidder was not asked.
    ///
    /// A bill whose acknowledgement was lost may be booked and yet be [`Notices::undelivered`]; then they need not agree.
    pub fn agrees(&self) -> Option<bool> {
        let billed = || self.notices.campaigns.iter().map(|(campaign, account)| (campaign, &account.money));
        self.booked.as_ref().map(|booked| booked.iter().eq(billed()))
    }
}

/// The page.
pub fn render(summary: &Summary) -> String {
    let mut page = String::new();
    draw(summary, &mut page).expect("memory");
    page
}

fn draw(summary: &Summary, page: &mut String) -> fmt::Result {
    let notices = &summary.notices;
    let row = |page: &mut String, name: &str, value: String, note: String| -> fmt::Result {
        writeln!(page, "{}", format!("  {name:<14}{value:>16}   {note}").trim_end())
    };
    let of = |count: u64, total: u64, what: &str| format!("{:.1} % of {what}", percent(count, total));

    writeln!(page, "\nThe market, {:.0} s at {} requests a second\n", summary.seconds, grouped(summary.asked_rate))?;
    row(page, "requests", grouped(summary.requests), String::new())?;
    row(page, "answered", grouped(summary.answered), of(summary.answered, summary.requests, "the requests"))?;
    row(page, "late", grouped(summary.late), "after 8 ms".into())?;
    for (status, count) in summary.status.iter().filter(|(status, _)| !matches!(status, 200 | 204)) {
        row(page, &format!("status {status}"), grouped(*count), String::new())?;
    }
    if summary.unsent > 0 {
        row(page, "unsent", grouped(summary.unsent), "no connection was free".into())?;
    }
    // A request with several impressions may get several bids.
    let answered_with_bids = summary.status.get(&200).copied().unwrap_or(0);
    row(page, "bids", grouped(summary.bids), of(answered_with_bids, summary.requests, "the requests"))?;
    if summary.invalid > 0 {
        row(page, "invalid bids", grouped(summary.invalid), String::new())?;
    }
    row(page, "won", grouped(summary.wins), of(summary.wins, summary.bids, "the bids"))?;
    row(
        page,
        "lost",
        grouped(summary.outbid + summary.below_floor),
        format!("{} of them were told", grouped(notices.losses)),
    )?;

    writeln!(page, "\n  Latency from the intended send time")?;
    for (name, us) in ["p50", "p90", "p99", "p99.9", "p99.99", "longest"].into_iter().zip(summary.latency) {
        row(page, name, duration(us), String::new())?;
    }

    writeln!(page, "\n  Money")?;
    row(page, "won", dollars(summary.won_money, 6), format!("{} auctions", grouped(summary.wins)))?;
    let again = format!(
        "{} impressions; {} called twice, {} retried",
        grouped(notices.billed),
        grouped(notices.repeated),
        grouped(notices.retried)
    );
    row(page, "billed", dollars(notices.billed_money, 6), again)?;
    if notices.undelivered > 0 {
        row(
            page,
            "undelivered",
            dollars(notices.undelivered_money, 6),
            format!("{} impressions", grouped(notices.undelivered)),
        )?;
    }
    if notices.billed > 0 {
        row(page, "acknowledged", duration(notices.bill_p50), format!("median, p99 {}", duration(notices.bill_p99)))?;
    }
    if let Some(booked) = &summary.booked {
        let money = booked.values().fold(Micros::ZERO, |sum, money| sum.plus(*money));
        let verdict = match (summary.agrees(), money.minus(notices.billed_money)) {
            (Some(true), _) => "the bidder's books agree, campaign by campaign, to the micro".to_owned(),
            (_, Micros(0)) => "THE SUMS AGREE, THE CAMPAIGNS DO NOT".to_owned(),
            (_, difference) => format!("THE BOOKS DIFFER by {}", dollars(difference, 6)),
        };
        row(page, "booked", dollars(money, 6), verdict)?;
    }

    let clicks = &summary.clicks;
    if clicks.clicks > 0 || clicks.by_click > 0 {
        writeln!(page, "\n  Clicks")?;
        let expected = format!("{:.1} on average; {} were told", clicks.expected, grouped(notices.clicks));
        row(page, "clicks", grouped(clicks.clicks), expected)?;
    }
    if clicks.by_click > 0 {
        let money = |micros: f64| dollars(Micros(micros as i64), 6);
        let shown = format!("to campaigns that pay by click, on average; {} impressions", grouped(clicks.by_click));
        row(page, "worth", money(clicks.worth), shown)?;
        row(page, "paid", dollars(clicks.paid, 6), "by them".into())?;
        let each = clicks.surplus() / clicks.by_click as f64 * 1000.0;
        row(page, "surplus", money(clicks.surplus()), format!("{} a thousand impressions", money(each)))?;
    }

    let total: u64 = summary.reasons.values().sum();
    if total > 0 {
        writeln!(page, "\n  Why not ({} of the no-bids were asked)", grouped(total))?;
        let ranked = by_count(&summary.reasons);
        let most = ranked.first().map_or(1, |(_, count)| *count);
        for (reason, count) in ranked {
            let stage = NoBidReason::ALL
                .iter()
                .find(|known| known.label() == reason)
                .map_or("?", |known| known.stage().label());
            writeln!(page, "  {reason:<18}{:>6.1} %  {stage:<8}{}", percent(count, total), bar(count, most))?;
        }
        let share = |stage| summary.reached(stage).map_or("-".into(), |share| format!("{:.0} %", share * 100.0));
        let (scanned, matched, scored) = (share(Stage::Scan), share(Stage::Match), share(Stage::Score));
        writeln!(page, "  of the no-bids {scanned} were scanned, {matched} matched, {scored} scored")?;
    }
    Ok(())
}

/// Largest first; equal counts by name.
fn by_count(reasons: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut ranked: Vec<_> = reasons.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    ranked.sort_by(|(name, count), (other_name, other)| other.cmp(count).then(name.cmp(other_name)));
    ranked
}

fn percent(count: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { count as f64 * 100.0 / total as f64 }
}

/// A bar of up to 32 columns, in eighths.
fn bar(count: u64, most: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (count * 32 * 8).div_ceil(most.max(1)) as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// Money as dollars, cut (not rounded) to this many decimals, at most 6.
pub fn dollars(money: Micros, decimals: usize) -> String {
    let (sign, micros) = (if money.0 < 0 { "-" } else { "" }, money.0.unsigned_abs());
    let fraction = format!("{:06}", micros % 1_000_000);
    format!("{sign}${}.{}", grouped(micros / 1_000_000), &fraction[..decimals.clamp(1, 6)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::notices::Account;

    fn example() -> Summary {
        let reasons = [("seat", 50), ("no_match", 30), ("floor", 15), ("no_time", 5)];
        let campaigns: BTreeMap<String, Account> =
            [("7".to_owned(), Account { billed: 1_500, money: Micros(1_234_567) })].into();
        Summary {
            seconds: 60.0,
            ran: 60,
            asked_rate: 2000,
            requests: 120_000,
            answered: 120_000,
            late: 3,
            status: [(200, 3_600), (204, 116_400)].into(),
            bids: 3_600,
            wins: 1_700,
            won_money: Micros(2_345_678),
            outbid: 1_900,
            rendered: 1_500,
            latency: [41.2, 80.0, 310.0, 1_200.0, 3_400.0, 5_000.0],
            reasons: reasons.map(|(reason, count)| (reason.to_owned(), count)).into(),
            notices: Notices {
                losses: 380,
                billed: 1_500,
                billed_money: Micros(1_234_567),
                repeated: 70,
                bill_p50: 900.0,
                bill_p99: 4_000.0,
                campaigns: campaigns.clone(),
                ..Notices::default()
            },
            booked: Some([("7".to_owned(), Micros(1_234_567))].into()),
            ..Summary::default()
        }
    }

    #[test]
    fn the_page_looks_like_this() {
        let expected = "
The market, 60 s at 2,000 requests a second

  requests               120,000
  answered               120,000   100.0 % of the requests
  late                         3   after 8 ms
  bids                     3,600   3.0 % of the requests
  won                      1,700   47.2 % of the bids
  lost                     1,900   380 of them were told

  Latency from the intended send time
  p50                    41.2 us
  p90                    80.0 us
  p99                   310.0 us
  p99.9                  1.20 ms
  p99.99                 3.40 ms
  longest                5.00 ms

  Money
  won                  $2.345678   1,700 auctions
  billed               $1.234567   1,500 impressions; 70 called twice, 0 retried
  acknowledged          900.0 us   median, p99 4.00 ms
  booked               $1.234567   the bidder's books agree, campaign by campaign, to the micro

  Why not (100 of the no-bids were asked)
  seat                50.0 %  comply  ████████████████████████████████
  no_match            30.0 %  match   ███████████████████▎
  floor               15.0 %  price   █████████▋
  no_time              5.0 %  scan    ███▎
  of the no-bids 100 % were scanned, 45 % matched, 15 % scored
";
        assert_eq!(render(&example()), expected);
    }

    #[test]
    fn books_that_differ_are_loud() {
        let mut summary = example();
        summary.booked = Some([("7".to_owned(), Micros(1_234_568))].into());
        assert_eq!(summary.agrees(), Some(false));
        assert!(render(&summary).contains("THE BOOKS DIFFER by $0.000001"));
        summary.booked = Some([("8".to_owned(), Micros(1_234_567))].into());
        assert!(render(&summary).contains("THE CAMPAIGNS DO NOT"));
        summary.booked = None;
        assert!(summary.agrees().is_none() && !render(&summary).contains("booked"));
    }

    #[test]
    fn a_second_stands_under_its_header() {
        let second = Second {
            second: 12,
            requests: 2_000,
            answered: 2_000,
            bids: 61,
            wins: 22,
            billed: Micros(51_299),
            latency: [41.2, 310.0, 1_200.0],
            reasons: [("seat".to_owned(), 3), ("floor".to_owned(), 1)].into(),
        };
        let line = second.to_string();
        let end = |name: &str| Second::HEADER.find(name).expect("a column") + name.len();
        assert_eq!(
            line,
            "   12 s     2,000      61      22       $0.0512    41.2 us   310.0 us    1.20 ms   seat 75 %, floor 25 %"
        );
        for (name, value) in [
            ("requests", "2,000"),
            ("bids", "61"),
            ("wins", "22"),
            ("billed", "$0.0512"),
            ("p50", "41.2 us"),
            ("p99.9", "1.20 ms"),
        ] {
            assert!(line[..end(name)].ends_with(value), "{name}\n{}\n{line}", Second::HEADER);
        }
    }

    #[test]
    fn dollars_are_exact() {
        assert_eq!(
            (dollars(Micros(1_234_567_890_123), 6), dollars(Micros(-1), 6)),
            ("$1,234,567.890123".into(), "-$0.000001".into())
        );
        assert_eq!(dollars(Micros(999_999), 2), "$0.99");
    }
}
