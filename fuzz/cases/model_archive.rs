//! Imports: an input says what is changed in a good one, and whether length and hash are made right again. Without that, no change is
//! believed; with it, what is taken is walked to an end.

use corebid::model::forest::Library;
use corebid::model::{archive, import_bytes};

#[path = "support/recipe.rs"]
mod recipe;
#[path = "support/walked.rs"]
mod walked;

use recipe::Recipe;

const LIGHTGBM: &[u8] = include_bytes!("../../tests/data/models/lgb_categorical.txt");
const XGBOOST: &[u8] = include_bytes!("../../tests/data/models/xgb_category.ubj");
/// The layout of src/model/archive.rs.
const HASHED: usize = 32;
const HEAD: usize = 64;

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let mut recipe = Recipe(input);
    let flags = recipe.u8();
    let (library, source) = if flags & 1 == 0 { (Library::LightGbm, LIGHTGBM) } else { (Library::XgBoost, XGBOOST) };
    let model = import_bytes(library, source).expect("a good model");
    let sound = archive::bytes(&model);
    let (mut bytes, is_mended) = (sound.clone(), flags & 2 != 0);
    // As many bytes off the end as the recipe wants, which are mostly none.
    let cut = if flags & 4 == 0 { 0 } else { usize::from(recipe.u16()) % (bytes.len() - HEAD) };
    bytes.truncate(bytes.len() - cut);
    while !recipe.is_over() {
        let (at, byte) = (usize::from(recipe.u16()) % bytes.len(), recipe.u8());
        bytes[at] = byte;
    }
    if is_mended {
        let length = (bytes.len() - HEAD) as u64;
        bytes[24..HASHED].copy_from_slice(&length.to_le_bytes());
        let hash = blake3::Hasher::new().update(&bytes[..HASHED]).update(&bytes[HEAD..]).finalize();
        bytes[HASHED..HEAD].copy_from_slice(hash.as_bytes());
    }
    match archive::open_bytes(&bytes) {
        Ok(other) => {
            assert!(bytes == sound || is_mended, "a change was believed");
            assert!(bytes != sound || other == model);
            walked::check(&other);
        }
        Err(error) => assert!(bytes != sound && !error.to_string().contains('\n'), "{error:?}"),
    }
}
