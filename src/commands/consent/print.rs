//! What a string says, to be read by people: one field a line, vendors as ranges.

use std::fmt::{self, Display};
use std::io::{self, Write};

use super::gpp::{Restriction, Section, Value};
use super::vendor::{OfVendor, Said};
use super::vendors::Vendors;
use super::{Decoded, Gpp, Tcf, UsPrivacy};

/// Prints what a string says, and what it says of a vendor.
pub fn print(out: &mut impl Write, decoded: &Decoded, vendor: Option<u16>) -> io::Result<()> {
    match decoded {
        Decoded::Tcf(string) => tcf(out, string)?,
        Decoded::Gpp(string) => gpp(out, string)?,
        Decoded::UsPrivacy(string) => us_privacy(out, *string)?,
    }
    vendor.map_or(Ok(()), |vendor| of_vendor(out, &OfVendor::of(decoded, vendor)))
}

fn line(out: &mut impl Write, name: &str, value: impl Display) -> io::Result<()> {
    writeln!(out, "  {name:<40} {value}")
}

fn tcf(out: &mut impl Write, tcf: &Tcf) -> io::Result<()> {
    writeln!(out, "TCF, version {}", tcf.version)?;
    if tcf.version == 1 {
        writeln!(out, "  out of use since 2020: it permits nothing")?;
    }
    line(out, "created", tcf.created)?;
    line(out, "last updated", tcf.last_updated)?;
    line(out, "CMP", format_args!("{}, version {}", tcf.cmp_id, tcf.cmp_version))?;
    line(out, "consent screen", tcf.consent_screen)?;
    line(out, "consent language", tcf.consent_language.escape_debug())?;
    line(out, "vendor list version", tcf.vendor_list_version)?;
    line(out, "policy version", tcf.policy_version)?;
    line(out, "service specific", yes(tcf.is_service_specific))?;
    line(out, "non-standard texts", yes(tcf.use_non_standard_texts))?;
    line(out, "purpose one treatment", yes(tcf.purpose_one_treatment))?;
    line(out, "publisher's country", tcf.publisher_country_code.escape_debug())?;
    line(out, "special features opted in", Ranges(&tcf.special_feature_optins))?;
    line(out, "purposes, consent", Ranges(&tcf.purpose_consents))?;
    line(out, "purposes, legitimate interest", Ranges(&tcf.purpose_legitimate_interests))?;
    line(out, "vendors, consent", Ranges(&tcf.vendor_consents))?;
    line(out, "vendors, legitimate interest", Ranges(&tcf.vendor_legitimate_interests))?;
    for (name, vendors) in [("vendors disclosed", &tcf.vendors_disclosed), ("vendors allowed", &tcf.vendors_allowed)] {
        match vendors {
            Some(vendors) => line(out, name, Ranges(vendors))?,
            None => line(out, name, "no such segment")?,
        }
    }
    if let Some(publisher) = &tcf.publisher {
        line(out, "publisher's purposes, consent", Ranges(&publisher.consents))?;
        line(out, "publisher's purposes, legitimate interest", Ranges(&publisher.legitimate_interests))?;
        line(out, "publisher's own purposes", publisher.num_custom_purposes)?;
        line(out, "own purposes, consent", Ranges(&publisher.custom_consents))?;
        line(out, "own purposes, legitimate interest", Ranges(&publisher.custom_legitimate_interests))?;
    }
    for restriction in &tcf.publisher_restrictions {
        restricted(out, restriction.purpose_id, restriction.restriction_type, &restriction.vendors)?;
    }
    Ok(())
}

fn gpp(out: &mut impl Write, gpp: &Gpp) -> io::Result<()> {
    let ids: Vec<String> = gpp.section_ids.iter().map(u16::to_string).collect();
    writeln!(out, "GPP, sections {}", if ids.is_empty() { "none".to_owned() } else { ids.join(", ") })?;
    for (id, Section { name, fields, .. }) in gpp.section_ids.iter().zip(&gpp.sections) {
        writeln!(out, "section {id}, {name}")?;
        for (field, value) in fields {
            match value {
                Value::Int(value) => line(out, field, value)?,
                Value::Ints(values) => {
                    line(out, field, values.iter().map(u64::to_string).collect::<Vec<_>>().join(" "))?
                }
                Value::Flag(flag) => line(out, field, yes(*flag))?,
                Value::Flags(flags) => line(out, field, Ranges(&Vendors::of_bits(flags)))?,
                Value::Time(time) => line(out, field, time)?,
                Value::Text(text) => line(out, field, text.escape_debug())?,
                Value::Vendors(vendors) => line(out, field, Ranges(vendors))?,
                Value::Restrictions(restrictions) => {
                    for Restriction { key, restriction_type, ids } in restrictions {
                        restricted(out, *key, *restriction_type, ids)?;
                    }
                }
            }
        }
    }
    for id in &gpp.unknown {
        writeln!(out, "section {id}: of a kind unknown, not read")?;
    }
    Ok(())
}

fn us_privacy(out: &mut impl Write, us_privacy: UsPrivacy) -> io::Result<()> {
    writeln!(out, "US privacy, version 1")?;
    let says = |character| match character {
        'Y' => "yes",
        'N' => "no",
        _ => "does not apply",
    };
    line(out, "notice given", says(us_privacy.notice))?;
    line(out, "opted out of sale", says(us_privacy.opt_out))?;
    line(out, "limited service provider agreement", says(us_privacy.agreement))
}

fn of_vendor(out: &mut impl Write, OfVendor { id, said }: &OfVendor) -> io::Result<()> {
    if said.is_empty() {
        return writeln!(out, "vendor {id}: the string says nothing of vendors");
    }
    for (section, Said { bases, disclosed, restrictions }) in said {
        match section {
            Some(section) => writeln!(out, "vendor {id}, {section}")?,
            None => writeln!(out, "vendor {id}")?,
        }
        for (basis, given) in bases {
            line(out, basis, yes(*given))?;
        }
        line(out, "disclosed", disclosed.map_or("the string does not say", yes))?;
        for &(purpose, kind) in restrictions {
            line(out, "restriction", format_args!("purpose {purpose} {}", restriction(kind)))?;
        }
    }
    Ok(())
}

fn restricted(out: &mut impl Write, purpose: u64, kind: u64, vendors: &Vendors) -> io::Result<()> {
    let what = format_args!("purpose {purpose} {}, vendors {}", restriction(kind), Ranges(vendors));
    line(out, "restriction", what)
}

fn restriction(kind: u64) -> &'static str {
    match kind {
        0 => "not allowed",
        1 => "requires consent",
        2 => "requires legitimate interest",
        _ => "of a type that is not defined",
    }
}

fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

/// Numbers, as in `1-4, 9`.
struct Ranges<'a>(&'a Vendors);

impl Display for Ranges<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Vendors(entries) = self.0.clone().sorted();
        if entries.is_empty() {
            return out.write_str("none");
        }
        for (place, (first, last)) in entries.into_iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            match first == last {
                true => write!(out, "{comma}{first}")?,
                false => write!(out, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}
