//! Country codes: two letters, as geo databases and time zones have them, to three, as OpenRTB has them (`geo.country`,
//! OpenRTB 2.6 section 3.2.19).

/// ISO 3166-1: alpha-2 and alpha-3 of each country in one word, in order of alpha-2. Kosovo, which the standard has not,
/// goes by the codes of its user-assigned range that geo databases use.
const COUNTRIES: &str = "\
    ADAND AEARE AFAFG AGATG AIAIA ALALB AMARM AOAGO AQATA ARARG ASASM ATAUT AUAUS AWABW AXALA AZAZE BABIH BBBRB \
    BDBGD BEBEL BFBFA BGBGR BHBHR BIBDI BJBEN BLBLM BMBMU BNBRN BOBOL BQBES BRBRA BSBHS BTBTN BVBVT BWBWA BYBLR \
    BZBLZ CACAN CCCCK CDCOD CFCAF CGCOG CHCHE CICIV CKCOK CLCHL CMCMR CNCHN COCOL CRCRI CUCUB CVCPV CWCUW CXCXR \
    CYCYP CZCZE DEDEU DJDJI DKDNK DMDMA DODOM DZDZA ECECU EEEST EGEGY EHESH ERERI ESESP ETETH FIFIN FJFJI FKFLK \
    FMFSM FOFRO FRFRA GAGAB GBGBR GDGRD GEGEO GFGUF GGGGY GHGHA GIGIB GLGRL GMGMB GNGIN GPGLP GQGNQ GRGRC GSSGS \
    GTGTM GUGUM GWGNB GYGUY HKHKG HMHMD HNHND HRHRV HTHTI HUHUN IDIDN IEIRL ILISR IMIMN ININD IOIOT IQIRQ IRIRN \
    ISISL ITITA JEJEY JMJAM JOJOR JPJPN KEKEN KGKGZ KHKHM KIKIR KMCOM KNKNA KPPRK KRKOR KWKWT KYCYM KZKAZ LALAO \
    LBLBN LCLCA LILIE LKLKA LRLBR LSLSO LTLTU LULUX LVLVA LYLBY MAMAR MCMCO MDMDA MEMNE MFMAF MGMDG MHMHL MKMKD \
    MLMLI MMMMR MNMNG MOMAC MPMNP MQMTQ MRMRT MSMSR MTMLT MUMUS MVMDV MWMWI MXMEX MYMYS MZMOZ NANAM NCNCL NENER \
    NFNFK NGNGA NINIC NLNLD NONOR NPNPL NRNRU NUNIU NZNZL OMOMN PAPAN PEPER PFPYF PGPNG PHPHL PKPAK PLPOL PMSPM \
    PNPCN PRPRI PSPSE PTPRT PWPLW PYPRY QAQAT REREU ROROU RSSRB RURUS RWRWA SASAU SBSLB SCSYC SDSDN SESWE SGSGP \
    SHSHN SISVN SJSJM SKSVK SLSLE SMSMR SNSEN SOSOM SRSUR SSSSD STSTP SVSLV SXSXM SYSYR SZSWZ TCTCA TDTCD TFATF \
    TGTGO THTHA TJTJK TKTKL TLTLS TMTKM TNTUN TOTON TRTUR TTTTO TVTUV TWTWN TZTZA UAUKR UGUGA UMUMI USUSA UYURY \
    UZUZB VAVAT VCVCT VEVEN VGVGB VIVIR VNVNM VUVUT WFWLF WSWSM YEYEM YTMYT ZAZAF ZMZMB ZWZWE XKXKX";

/// How many there are: each is five letters and a space.
const COUNT: usize = COUNTRIES.len().div_ceil(6);

/// The same in order of alpha-3, which is the key.
static BY_ALPHA3: [(u32, [u8; 2]); COUNT] = {
    let codes = COUNTRIES.as_bytes();
    let mut sorted = [(0, [0; 2]); COUNT];
    let mut count = 0;
    while count < COUNT {
        let at = 6 * count;
        let key = key([codes[at + 2], codes[at + 3], codes[at + 4]]);
        let mut place = count;
        while place > 0 && sorted[place - 1].0 > key {
            sorted[place] = sorted[place - 1];
            place -= 1;
        }
        sorted[place] = (key, [codes[at], codes[at + 1]]);
        count += 1;
    }
    sorted
};

const fn key([a, b, c]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

/// The alpha-2 code, in capitals, of an alpha-3 code in any case; `None` if no country has it.
pub fn alpha2(alpha3: &[u8]) -> Option<[u8; 2]> {
    let &[a, b, c] = alpha3 else { return None };
    let key = key([a, b, c].map(|letter| letter.to_ascii_uppercase()));
    let at = BY_ALPHA3.binary_search_by_key(&key, |(key, _)| *key).ok()?;
    Some(BY_ALPHA3[at].1)
}

/// The alpha-3 code of an alpha-2 code in any case; `None` if no country has it.
pub fn alpha3_of(alpha2: [u8; 2]) -> Option<[u8; 3]> {
    let capitals = alpha2.map(|letter| letter.to_ascii_uppercase());
    alpha3(std::str::from_utf8(&capitals).ok()?)
}

/// The alpha-3 code of an alpha-2 code in capitals; `None` if no country has it.
pub(super) fn alpha3(alpha2: &str) -> Option<[u8; 3]> {
    let codes = COUNTRIES.split_ascii_whitespace().find_map(|codes| codes.strip_prefix(alpha2))?;
    codes.as_bytes().try_into().ok()
}

#[cfg(test)]
mod tests {
    use isocountry::CountryCode;

    use super::*;

    #[test]
    fn every_country_of_the_standard_has_its_code_and_no_other_letters_have_one() {
        let letters = || b'A'..=b'Z';
        let mut found = 0;
        for text in letters().flat_map(|a| letters().map(move |b| [a, b])) {
            let text = str::from_utf8(&text).unwrap();
            let expected = match text {
                "XK" => Some("XKX"),
                _ => CountryCode::for_alpha2(text).ok().map(|country| country.alpha3()),
            };
            assert_eq!(alpha3(text).as_ref().map(|code| str::from_utf8(code).unwrap()), expected, "{text}");
            if let Some(alpha3) = expected {
                for written in [alpha3.to_owned(), alpha3.to_lowercase()] {
                    assert_eq!(
                        alpha2(written.as_bytes()).as_ref().map(|code| &code[..]),
                        Some(text.as_bytes()),
                        "{alpha3}"
                    );
                }
            }
            found += usize::from(expected.is_some());
        }
        assert_eq!(found, 250);
        for not_a_code in ["", "D", "DE", "DEUT", "XXX", "D U", "ZZZ", "AAA"] {
            assert_eq!(alpha2(not_a_code.as_bytes()), None, "{not_a_code}");
        }
        for not_a_code in ["", "D", "DE ", "DEU", "DEUT", "de"] {
            assert_eq!(alpha3(not_a_code), None, "{not_a_code}");
        }
    }
}
