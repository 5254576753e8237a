//! The arithmetic: names with numbers, and formulas of names, each of which becomes a line.
//!
//! A formula is text, and is computed from that text: what is shown is what was done.

use std::collections::BTreeMap;

use super::{Costs, From, Input, Line, Prices, Question, shown};
use crate::limits;
use crate::units::Nanos;

#[derive(Debug, Default)]
pub(super) struct Sheet {
    values: BTreeMap<&'static str, f64>,
    pub(super) inputs: Vec<Input>,
    pub(super) lines: Vec<Line>,
}

impl Sheet {
    /// The value of a name.
    pub(super) fn of(&self, name: &str) -> f64 {
        *self.values.get(name).expect("every name is computed before it is used")
    }

    fn input(&mut self, name: &'static str, value: f64, unit: &'static str, from: From) {
        self.values.insert(name, value);
        self.inputs.push(Input { name, value, unit, from });
    }

    /// Computes a formula of names, numbers, `+ - * /`, brackets, and `ceil`, `max` and `min`.
    fn line(&mut self, name: &'static str, unit: &'static str, formula: &'static str) {
        let mut numbers = String::new();
        let mut reader = Reader { sheet: self, rest: formula.trim_start(), numbers: &mut numbers };
        let value = reader.sum();
        assert!(reader.rest.is_empty(), "{formula}: read up to {}", reader.rest);
        self.values.insert(name, value);
        self.lines.push(Line { name, formula, numbers: numbers.trim_end().to_owned(), value, unit });
    }

    pub(super) fn inputs(&mut self, question: &Question, costs: &Costs, prices: &Prices) {
        let asked = |value: Option<f64>, other: f64| match value {
            Some(value) => (value, From::Asked),
            None => (other, From::Measured),
        };
        let (bid_share, whence) = asked(question.bid_share, costs.bid_share);
        self.input("qps", question.qps, "requests/s at the peak", From::Asked);
        self.input("average", question.average, "of the peak, a month's mean", From::Asked);
        self.input("bid_share", bid_share, "bids/request", whence);
        self.input("win_share", question.win_share, "bills/bid", From::Asked);
        let (body, whence) = asked(question.body_bytes, costs.body_bytes);
        self.input("body_bytes", body, "bytes/request", whence);
        self.input("profiles", question.profiles, "users", From::Asked);
        self.input("campaigns", question.campaigns, "", From::Asked);
        self.input("advertisers", question.advertisers, "", From::Asked);
        self.input("headroom", question.headroom, "busy at the peak", From::Asked);
        for (name, value, unit) in costs.each() {
            if !matches!(name, "bid_share" | "body_bytes") {
                let from = match name {
                    "cpu_us_per_notice" | "profile_bytes" | "notice_answer_bytes" => From::Assumed,
                    "core_bytes" | "process_bytes" | "ledger_bytes_per_bill" => From::Bound,
                    _ => From::Measured,
                };
                self.input(name, value, unit, from);
            }
        }
        self.input("shard_bytes", limits::SHARD_BYTES as f64, "bytes of profiles/core", From::Bound);
        self.input("tick", limits::TICK_NS as f64 / Nanos::SECOND as f64, "s between reports", From::Bound);
        self.input("frame_bytes", 66.0, "Ethernet, IP, TCP/packet", From::Assumed);
        self.input("segment_bytes", 1448.0, "bytes of TCP/packet", From::Assumed);
        self.input("units_per_user", 1.0, "read units: profile, key", From::Assumed);
        self.input("month", 2_592_000.0, "s: 30 days", From::Assumed);
        for (name, value, unit) in prices.each() {
            self.input(name, value, unit, From::Prices);
        }
    }

    pub(super) fn traffic(&mut self) {
        self.line("bids", "bids/s", "qps * bid_share");
        self.line("bills", "bills/s", "bids * win_share");
        self.line("notices", "notices/s", "bills * notices_per_bill");
    }

    /// Cores, what queues on them, machines, memory.
    pub(super) fn cores(&mut self) {
        self.line("busy", "cores", "(qps * cpu_us_per_request + notices * cpu_us_per_notice) / 1000000");
        self.line("bid_cores", "cores", "ceil(busy / headroom)");
        self.line("load", "busy at the peak", "busy / bid_cores");
        // M/D/1: the mean wait behind others (Pollaczek-Khinchine for a constant service time).
        self.line("queue_us", "us of waiting, mean", "cpu_us_per_request * load / (2 * (1 - load))");
        self.line("cores_per_machine", "bid cores", "max(1, machine_cores - reserved_cores)");
        self.line("by_cores", "machines", "ceil(bid_cores / cores_per_machine)");
        self.line("machines", "machines", "by_cores + spare_machines");
        self.line("cores_used", "bid cores/machine", "min(bid_cores, cores_per_machine)");
        self.line("memory", "bytes/machine", "process_bytes + campaigns * campaign_bytes + cores_used * core_bytes");
        self.line("memory_share", "of a machine", "memory / (machine_gib * 1073741824)");
        self.line("memory_short", "bytes/machine that it has not", "max(0, memory - machine_gib * 1073741824)");
    }

    /// What the exchanges' side of the network carries, with what frames it.
    pub(super) fn network(&mut self) {
        self.line("request_bytes", "bytes", "body_bytes + request_head_bytes");
        self.line("request_wire", "bytes", "request_bytes + frame_bytes * ceil(request_bytes / segment_bytes)");
        self.line("bid_wire", "bytes", "bid_bytes + frame_bytes * ceil(bid_bytes / segment_bytes)");
        self.line("nobid_wire", "bytes", "nobid_bytes + frame_bytes");
        self.line("in_bits", "bit/s", "8 * (qps * request_wire + notices * (notice_bytes + frame_bytes))");
        self.line(
            "out_bits",
            "bit/s",
            "8 * (bids * bid_wire + (qps - bids) * nobid_wire + notices * (notice_answer_bytes + frame_bytes))",
        );
    }

    pub(super) fn stores(&mut self) {
        self.line("cached_users", "users/core", "shard_bytes / profile_bytes");
        self.line("hit_share", "of lookups", "min(1, cached_users / max(1, profiles))");
        self.line("misses", "users/s", "qps * filtered_share * (1 - hit_share) * min(1, profiles)");
        self.line("read_units", "BatchGetItem units/s", "misses * units_per_user");
        self.line("lease_calls", "calls/s on Valkey", "machines * advertisers / tick");
        self.line("frequency_writes", "writes/s on Valkey", "bills");
        self.line("ledger_bytes_per_day", "bytes/day, the fleet", "bills * average * ledger_bytes_per_bill * 86400");
    }

    pub(super) fn money(&mut self) {
        self.line("machine_dollars", "dollars/month", "machines * machine_dollars_per_month");
        self.line("egress_tb", "TB/month", "out_bits / 8 * average * month / 1000000000000");
        self.line("egress_dollars", "dollars/month", "egress_tb * egress_dollars_per_tb");
        self.line(
            "read_dollars",
            "dollars/month",
            "read_units * average * month / 1000000 * dollars_per_million_read_units",
        );
        self.line("valkey_servers", "servers", "ceil((lease_calls + frequency_writes) / valkey_calls_per_server)");
        self.line("valkey_dollars", "dollars/month", "valkey_servers * valkey_dollars_per_server");
        self.line("ledger_gb", "GB kept", "ledger_bytes_per_day * ledger_days / 1000000000");
        self.line("ledger_dollars", "dollars/month", "ledger_gb * storage_dollars_per_gb_month");
        self.line(
            "dollars",
            "dollars/month",
            "machine_dollars + egress_dollars + read_dollars + valkey_dollars + ledger_dollars",
        );
        self.line("dollars_per_million", "dollars/million requests", "dollars / (qps * average * month / 1000000)");
    }
}

/// Reads a formula, and writes it with numbers for names. Formulas are this file's own: one that cannot be read is a mistake in it.
struct Reader<'f, 's> {
    sheet: &'s Sheet,
    rest: &'f str,
    numbers: &'s mut String,
}

impl Reader<'_, '_> {
    /// Takes `sign`, and the blanks behind it, if it is next.
    fn takes(&mut self, sign: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(sign) else { return false };
        self.rest = rest.trim_start();
        match sign {
            '(' => self.numbers.push(sign),
            ',' | ')' => {
                self.numbers.truncate(self.numbers.trim_end().len());
                self.numbers.push(sign);
                self.numbers.push(' ');
            }
            _ => {
                self.numbers.push(sign);
                self.numbers.push(' ');
            }
        }
        true
    }

    fn sum(&mut self) -> f64 {
        let mut sum = self.product();
        loop {
            if self.takes('+') {
                sum += self.product();
            } else if self.takes('-') {
                sum -= self.product();
            } else {
                return sum;
            }
        }
    }

    fn product(&mut self) -> f64 {
        let mut product = self.factor();
        loop {
            if self.takes('*') {
                product *= self.factor();
            } else if self.takes('/') {
                let divisor = self.factor();
                // Nothing of nothing: a month without requests has no price for each.
                product = if divisor == 0.0 { 0.0 } else { product / divisor };
            } else {
                return product;
            }
        }
    }

    fn factor(&mut self) -> f64 {
        if self.takes('(') {
            let inner = self.sum();
            assert!(self.takes(')'), "a bracket stays open before {}", self.rest);
            return inner;
        }
        let end =
            self.rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        if let "ceil" | "max" | "min" = word {
            self.numbers.push_str(word);
            assert!(self.takes('('), "{word} of nothing");
            let mut value = self.sum();
            if self.takes(',') {
                let other = self.sum();
                value = if word == "max" { value.max(other) } else { value.min(other) };
            } else {
                value = value.ceil();
            }
            assert!(self.takes(')'), "a bracket stays open before {}", self.rest);
            return value;
        }
        let value = word.parse().unwrap_or_else(|_| self.sheet.of(word));
        self.numbers.push_str(&shown(value));
        self.numbers.push(' ');
        value
    }
}
