// What IAB's own libraries say of consent strings, one JSON object a line, as `corebid consent --json` prints it.
//
//   node generate.mjs encode SEED COUNT    random strings, written by the libraries where they can write them
//   node generate.mjs judge                the strings on standard input, each a JSON string on a line of its own

import { createInterface } from "node:readline";
import { GVL, PurposeRestriction, Segment, SegmentEncoder, TCModel, TCString } from "@iabtcf/core";
import * as cmpapi from "@iabgpp/cmpapi";

const { FibonacciIntegerEncoder, GppModel, RangeEntry } = cmpapi;

// The library counts through every id of a range. A damaged one may have 10^20 of them, so what no id can be is refused here.
const fibonacci = FibonacciIntegerEncoder.decode.bind(FibonacciIntegerEncoder);
FibonacciIntegerEncoder.decode = (bits) => {
  const value = fibonacci(bits);
  if (value > 0xffff) throw new Error("beyond 16 bits");
  return value;
};

// ---- judging

const ids = (vector) => [...vector.values()].sort((a, b) => a - b);

function tcf(s) {
  const m = TCString.decode(s);
  return {
    version: m.version,
    created: m.created.toISOString(),
    lastUpdated: m.lastUpdated.toISOString(),
    cmpId: m.cmpId,
    cmpVersion: m.cmpVersion,
    consentScreen: m.consentScreen,
    consentLanguage: m.consentLanguage,
    vendorListVersion: m.vendorListVersion,
    policyVersion: m.policyVersion,
    isServiceSpecific: m.isServiceSpecific,
    purposeOneTreatment: m.purposeOneTreatment,
    publisherCountryCode: m.publisherCountryCode,
    specialFeatureOptins: ids(m.specialFeatureOptins),
    purposeConsents: ids(m.purposeConsents),
    purposeLegitimateInterests: ids(m.purposeLegitimateInterests),
    vendorConsents: ids(m.vendorConsents),
    vendorLegitimateInterests: ids(m.vendorLegitimateInterests),
    vendorsDisclosed: ids(m.vendorsDisclosed),
    vendorsAllowed: ids(m.vendorsAllowed),
    publisherConsents: ids(m.publisherConsents),
    publisherRestrictions: m.publisherRestrictions.getRestrictions().map((restriction) => ({
      purposeId: restriction.purposeId,
      type: restriction.restrictionType,
      vendors: m.publisherRestrictions.getVendors(restriction),
    })),
  };
}

function gpp(s) {
  const model = new GppModel(s);
  const sections = model.toObject();
  return { sectionIds: model.getSectionIds(), sections };
}

function judge(s) {
  try {
    if (s === "") throw new Error("empty");
    return { s, ok: true, ...(s.startsWith("D") ? gpp(s) : tcf(s)) };
  } catch (error) {
    return { s, ok: false, error: String(error.message) };
  }
}

// ---- generating

let state = 0n;

// SplitMix64: the same strings from the same seed everywhere.
function next() {
  state = (state + 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn;
  let z = state;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & 0xffffffffffffffffn;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & 0xffffffffffffffffn;
  return Number((z ^ (z >> 31n)) >> 11n);
}
const below = (n) => next() % n;
const chance = (percent) => below(100) < percent;
const pick = (list) => list[below(list.length)];
const repeat = (count, make) => Array.from({ length: count }, make);
const letters = () => String.fromCharCode(65 + below(26), 65 + below(26));
const flags = (count) => repeat(count, () => chance(40));
const time = () => new Date(1_500_000_000_000 + below(20_000_000_000) * 100);

// Dense, sparse, in blocks, high: each makes the encoders choose differently.
function vendors() {
  const set = new Set();
  switch (below(20) ? below(5) : 5) {
    case 0: break;
    case 1: repeat(below(8) + 1, () => set.add(below(1300) + 1)); break;
    case 2: repeat(below(300), () => set.add(below(700) + 1)); break;
    case 3: repeat(below(5) + 1, () => { const first = below(1000) + 1; for (let i = 0; i <= below(80); i++) set.add(first + i); }); break;
    case 5: repeat(below(3) + 1, () => set.add(65535 - below(3000))); break;
    default: { const last = below(900) + 1; for (let i = 1; i <= last; i++) if (chance(90)) set.add(i); }
  }
  return [...set].sort((a, b) => a - b);
}

// A vendor list in which every vendor may do everything: the encoder of restrictions asks it.
const declared = { purposes: [2, 7], legIntPurposes: [9, 10], flexiblePurposes: [2, 7, 9, 10], specialPurposes: [], features: [], specialFeatures: [] };
const gvl = new GVL({
  gvlSpecificationVersion: 3, vendorListVersion: 1, tcfPolicyVersion: 4, lastUpdated: "2026-01-01T00:00:00Z",
  purposes: Object.fromEntries([2, 7, 9, 10].map((id) => [id, { id }])), specialPurposes: {}, features: {}, specialFeatures: {}, stacks: {}, dataCategories: {},
  vendors: Object.fromEntries(repeat(1400, (_, i) => [i + 1, { id: i + 1, name: `v${i + 1}`, ...declared }])),
});

function randomTcf() {
  const m = new TCModel(gvl);
  m.cmpId = below(4094) + 2;
  m.cmpVersion = below(4096);
  m.consentScreen = below(64);
  m.consentLanguage = letters();
  m.policyVersion = below(6);
  m.isServiceSpecific = chance(70);
  m.useNonStandardStacks = chance(20);
  m.purposeOneTreatment = chance(20);
  m.publisherCountryCode = letters();
  const some = (vector, last) => { for (let i = 1; i <= last; i++) if (chance(50)) vector.set(i); };
  some(m.specialFeatureOptins, 12);
  some(m.purposeConsents, 24);
  some(m.purposeLegitimateInterests, 24);
  some(m.publisherConsents, 24);
  some(m.publisherLegitimateInterests, 24);
  m.numCustomPurposes = below(64);
  some(m.publisherCustomConsents, m.numCustomPurposes);
  some(m.publisherCustomLegitimateInterests, m.numCustomPurposes);
  for (const list of ["vendorConsents", "vendorLegitimateInterests", "vendorsDisclosed", "vendorsAllowed"]) m[list].set(vendors());
  if (chance(50)) {
    repeat(below(5), () => {
      const restriction = new PurposeRestriction(pick([2, 7, 9, 10]), below(3));
      repeat(below(6) + 1, () => { const first = below(1300) + 1; for (let i = 0; i <= below(6); i++) m.publisherRestrictions.add(first + i, restriction); });
    });
  }
  m.created = time();
  m.lastUpdated = time();
  if (chance(5)) {
    m.version = 1;
    return SegmentEncoder.encode(m, Segment.CORE);
  }
  const segments = [Segment.VENDORS_DISCLOSED, Segment.VENDORS_ALLOWED, Segment.PUBLISHER_TC].filter(() => chance(50));
  if (chance(50)) segments.reverse();
  return [Segment.CORE, ...segments].map((segment) => SegmentEncoder.encode(m, segment)).join(".");
}

function randomValue(field, value) {
  if (Array.isArray(value)) {
    if (/Vendor/.test(field)) return vendors();
    if (/Restrictions/.test(field)) return repeat(chance(50) ? below(4) : 0, () => new RangeEntry(below(24) + 1, below(3), vendors()));
    return value.map((element) => (typeof element === "boolean" ? chance(40) : below(3)));
  }
  if (value instanceof Date) return time();
  if (typeof value === "boolean") return field === "IsServiceSpecific" ? true : chance(50);
  if (/Language|Country/.test(field)) return letters();
  if (/SegmentType|Version$|^Notice|^OptOutSale|^LspaCovered/.test(field)) return /^(Notice|OptOutSale|LspaCovered)$/.test(field) ? pick(["Y", "N", "-"]) : value;
  if (/Cmp|ListVersion/.test(field)) return below(4096);
  if (field === "ConsentScreen") return below(64);
  if (field === "MspaCoveredTransaction") return below(2) + 1;
  return below(3);
}

const kinds = Object.values(cmpapi).filter((section) => section.NAME && section.ID && section.NAME !== "header");

function randomGpp() {
  const model = new GppModel();
  for (const { NAME } of repeat(below(4) + 1, () => pick(kinds))) {
    const Section = kinds.find((kind) => kind.NAME === NAME);
    for (const [field, value] of Object.entries(new Section().toObj())) {
      if (field === "NumCustomPurposes" || /Custom/.test(field)) continue;
      model.setFieldValue(NAME, field, randomValue(field, value));
    }
    if (/^tcf/.test(NAME)) {
      const count = below(10);
      model.setFieldValue(NAME, "NumCustomPurposes", count);
      const custom = NAME === "tcfeuv2" ? ["PublisherCustomConsents", "PublisherCustomLegitimateInterests"] : ["CustomPurposesExpressConsent", "CustomPurposesImpliedConsent"];
      for (const field of custom) model.setFieldValue(NAME, field, flags(count));
    } else if (NAME !== "uspv1" && chance(40)) {
      try { model.setFieldValue(NAME, pick(["GpcSegmentIncluded", "SensitiveDataConsentSegmentIncluded"]), false); } catch { /* it has no such segment */ }
    }
  }
  return model.encode();
}

// What the encoders do not write any more, or never: bits by hand.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const base64 = (bits) => bits.padEnd(Math.ceil(bits.length / 6) * 6, "0").match(/.{6}/g).map((six) => alphabet[parseInt(six, 2)]).join("");
const bits = (value, width) => value.toString(2).padStart(width, "0");

function header(id) {
  const model = new GppModel();
  const Section = kinds.find((kind) => kind.ID === id);
  model.setFieldValue(Section.NAME, Object.keys(new Section().toObj())[0], 1);
  return model.encode().split("~")[0];
}

// TCF Canada with its lists as they were before 3.1: ids of 16 bits.
function fixedRange(list) {
  const groups = [];
  for (const id of list) groups.length && groups.at(-1)[1] + 1 === id ? (groups.at(-1)[1] = id) : groups.push([id, id]);
  return bits(groups.length, 12) + groups.map(([a, b]) => (a === b ? "0" + bits(a, 16) : "1" + bits(a, 16) + bits(b, 16))).join("");
}
function fixedList(list) {
  const max = list.at(-1) ?? 0;
  const range = fixedRange(list);
  const field = repeat(max, (_, i) => (list.includes(i + 1) ? "1" : "0")).join("");
  return bits(max, 16) + (range.length <= max ? "1" + range : "0" + field);
}
function oldCanada() {
  const fixed = repeat(60, () => bits(below(4), 2)).join("");
  const core = bits(1, 6) + bits(15e9 + below(2e9), 36) + bits(15e9 + below(2e9), 36) + bits(below(4096), 12) + bits(below(4096), 12) +
    bits(below(64), 6) + bits(4, 6) + bits(13, 6) + bits(below(4096), 12) + bits(2, 6) + fixed.slice(0, 61) +
    fixedList(vendors()) + fixedList(vendors()) + (chance(50) ? bits(1, 12) + bits(below(24) + 1, 6) + bits(below(3), 2) + fixedRange(vendors()) : bits(0, 12));
  return `${header(5)}~${base64(core)}` + (chance(50) ? "." + base64(bits(1, 3) + fixedList(vendors())) : "");
}
const noise = (length) => repeat(length, () => alphabet[below(64)]).join("");
const firstNational = () => `${header(7)}~B${noise(9 + below(2))}` + (chance(50) ? `.${pick(["QA", "YA", "wA"])}` : "");
const anySection = () => `${header(pick(kinds).ID)}~${chance(60) ? "" : pick(["B", "C"])}${noise(below(60) + 1)}` + (chance(30) ? "." + noise(below(6)) : "");

function random() {
  const kind = below(100);
  if (kind < 45) return randomTcf();
  if (kind < 80) return randomGpp();
  if (kind < 88) return oldCanada();
  if (kind < 94) return firstNational();
  return anySection();
}

// ----

const print = (judged) => process.stdout.write(JSON.stringify(judged) + "\n");
const [, , mode, seed, count] = process.argv;
if (mode === "encode") {
  state = BigInt(seed);
  for (let i = 0; i < Number(count); i++) print(judge(random()));
} else if (mode === "judge") {
  for await (const line of createInterface({ input: process.stdin })) print(judge(JSON.parse(line)));
} else {
  console.error("usage: generate.mjs encode SEED COUNT | judge");
  process.exit(2);
}
