//! The cores of the sections of the United States, field by field: two bits each, or so many times two, after six of the
//! version. As the encoder of IAB's own library (npm `@iabgpp/cmpapi` 3.2.0) writes them.

/// Section, version, names of the fields in their order.
#[rustfmt::skip]
pub(crate) const CORES: [(u32, u64, &str); 22] = [
    (7, 1, "Version SharingNotice SaleOptOutNotice SharingOptOutNotice TargetedAdvertisingOptOutNotice \
        SensitiveDataProcessingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*12 KnownChildSensitiveDataConsents*2 \
        PersonalDataConsents MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (7, 2, "Version SharingNotice SaleOptOutNotice SharingOptOutNotice TargetedAdvertisingOptOutNotice \
        SensitiveDataProcessingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*16 KnownChildSensitiveDataConsents*3 \
        PersonalDataConsents MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (8, 1, "Version SaleOptOutNotice SharingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut \
        SensitiveDataProcessing*9 KnownChildSensitiveDataConsents*2 PersonalDataConsents \
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (9, 1, "Version SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*8 KnownChildSensitiveDataConsents \
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (10, 1, "Version SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*7 KnownChildSensitiveDataConsents \
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (11, 1, "Version SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice \
        SensitiveDataProcessingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing*8 \
        KnownChildSensitiveDataConsents MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (12, 1, "Version SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*8 KnownChildSensitiveDataConsents*3 \
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (13, 1, "Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*8 KnownChildSensitiveDataConsents*3 \
        AdditionalDataProcessingConsent MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (14, 1, "Version SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*8 KnownChildSensitiveDataConsents*3 \
        AdditionalDataProcessingConsent MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (15, 1, "Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*11 KnownChildSensitiveDataConsents*3 \
        AdditionalDataProcessingConsent MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (16, 1, "Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*8 KnownChildSensitiveDataConsents \
        AdditionalDataProcessingConsent MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (17, 1, "Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*9 KnownChildSensitiveDataConsents*5 \
        AdditionalDataProcessingConsent MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (18, 1, "Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SensitiveDataOptOutNotice \
        SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing*8 KnownChildSensitiveDataConsents \
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (19, 1, "Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*8 KnownChildSensitiveDataConsents \
        AdditionalDataProcessingConsent MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (20, 1, "Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*8 KnownChildSensitiveDataConsents*3 \
        AdditionalDataProcessingConsent MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (21, 1, "Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*10 KnownChildSensitiveDataConsents*5 \
        AdditionalDataProcessingConsent MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (22, 1, "Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*8 KnownChildSensitiveDataConsents \
        AdditionalDataProcessingConsent MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (23, 1, "Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut \
        TargetedAdvertisingOptOut SensitiveDataProcessing*8 KnownChildSensitiveDataConsents \
        AdditionalDataProcessingConsent MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"),
    (24, 1, "MspaVersion MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice \
        TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut AdditionalDataProcessingConsent"),
    (25, 1, "MspaVersion MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice \
        TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut KnownChildSensitiveDataConsents \
        AdditionalDataProcessingConsent"),
    (26, 1, "MspaVersion MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice \
        TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut KnownChildSensitiveDataConsents \
        AdditionalDataProcessingConsent"),
    (27, 1, "MspaVersion MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice \
        TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut KnownChildSensitiveDataConsents \
        AdditionalDataProcessingConsent"),
];
