//! What others make of the same model, called as a C program would: no Python, no copies that they do not ask for.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use libloading::Library;

type Create = unsafe extern "C" fn(*const c_char, *mut c_int, *mut *mut c_void) -> c_int;
type Init =
    unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int, c_int, i32, *const c_char, *mut *mut c_void) -> c_int;
type Fast = unsafe extern "C" fn(*mut c_void, *const f64, *mut i64, *mut f64) -> c_int;
type Predict = unsafe extern "C" fn(*mut Entry, c_int, *mut f64);

/// `C_API_DTYPE_FLOAT64`, `C_API_PREDICT_RAW_SCORE`.
const FLOAT64: c_int = 1;
const RAW_SCORE: c_int = 1;

/// LightGBM's call for one row at a time, with all set up before.
pub(crate) struct LightGbm {
    fast: Fast,
    config: *mut c_void,
    /// Holds the code.
    _library: Library,
}

impl LightGbm {
    pub(crate) fn load(library: &Path, model: &Path, features: usize) -> LightGbm {
        let model = CString::new(model.to_str().unwrap()).unwrap();
        // SAFETY: the names and types are those of LightGBM's c_api.h; pointers outlive the calls, and the booster is never freed.
        unsafe {
            let library = Library::new(library).unwrap();
            let create = *library.get::<Create>(b"LGBM_BoosterCreateFromModelfile\0").unwrap();
            let init = *library.get::<Init>(b"LGBM_BoosterPredictForMatSingleRowFastInit\0").unwrap();
            let fast = *library.get::<Fast>(b"LGBM_BoosterPredictForMatSingleRowFast\0").unwrap();
            let (mut iterations, mut booster, mut config) = (0, ptr::null_mut(), ptr::null_mut());
            assert_eq!(create(model.as_ptr(), &mut iterations, &mut booster), 0);
            let one_thread = c"num_threads=1".as_ptr();
            assert_eq!(init(booster, RAW_SCORE, 0, -1, FLOAT64, features as i32, one_thread, &mut config), 0);
            LightGbm { fast, config, _library: library }
        }
    }

    pub(crate) fn score(&self, row: &[f64]) -> f64 {
        let (mut count, mut out) = (0, 0.0);
        // SAFETY: the row has as many values as the configuration was made for, and there is one output.
        unsafe { (self.fast)(self.config, row.as_ptr(), &mut count, &mut out) };
        out
    }
}

/// A value as tl2cgen's code takes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) union Entry {
    missing: c_int,
    value: f64,
}

impl Entry {
    pub(crate) fn new(value: f64) -> Entry {
        if value.is_nan() { Entry { missing: -1 } } else { Entry { value } }
    }
}

/// What gcc made of tl2cgen's C.
pub(crate) struct Compiled {
    predict: Predict,
    _library: Library,
}

impl Compiled {
    pub(crate) fn load(library: &Path) -> Compiled {
        // SAFETY: name and type are those of the header that tl2cgen writes.
        unsafe {
            let library = Library::new(library).unwrap();
            let predict = *library.get::<Predict>(b"predict\0").unwrap();
            Compiled { predict, _library: library }
        }
    }

    pub(crate) fn score(&self, row: &mut [Entry]) -> f64 {
        let mut out = 0.0;
        // SAFETY: the row has as many entries as the model has features, and there is one output.
        unsafe { (self.predict)(row.as_mut_ptr(), 1, &mut out) };
        out
    }
}
