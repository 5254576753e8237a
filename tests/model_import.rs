//! Models from files: those of the libraries predict what the libraries said, whatever way they are read; damaged ones are refused,
//! or predict the same.

mod support;
#[path = "support/models.rs"]
mod models;

use std::fs;
use std::path::{Path, PathBuf};

use corebid::model::forest::Library;
use corebid::model::{Model, archive, import, import_bytes, read};
use models::{Case, cases, same, table};
use serde_json::{Value, json};
use support::Folder;
use support::process::run;

fn fixtures() -> Vec<Case> {
    cases(&root().join("tests/data/models"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixture(file: &str) -> PathBuf {
    root().join("tests/data/models").join(file)
}

fn bytes(file: &str) -> Vec<u8> {
    fs::read(fixture(file)).unwrap()
}

fn text(file: &str) -> String {
    String::from_utf8(bytes(file)).unwrap()
}

// ---- whole files

#[test]
fn committed_models_predict_as_their_libraries() {
    let mut taken = 0;
    for case in fixtures() {
        let mut forms: Vec<Model> = Vec::new();
        for file in &case.files {
            match &case.refused {
                Some(what) => {
                    let error = import(case.library, file).unwrap_err().to_string();
                    assert!(error.contains(what) && !error.contains('\n'), "{error}");
                    assert_eq!(read(file).unwrap_err().to_string(), error);
                }
                None => {
                    let model = import(case.library, file).unwrap();
                    case.judge(&model);
                    assert_eq!(read(file).unwrap(), model, "what a file is, its head tells");
                    forms.push(model);
                    taken += 1;
                }
            }
        }
        assert!(forms.iter().all(|form| *form == forms[0]), "{}: JSON and UBJSON differ", case.name);
    }
    assert!(taken >= 15, "{taken}");
}

#[test]
fn published_models_predict_as_published() {
    let folder = root().ancestors().map(|above| above.join("shared/data/models")).find(|folder| folder.is_dir());
    let Some(folder) = folder else {
        eprintln!("skipped: no shared/data/models above this repository");
        return;
    };
    for (library, model, rows, raw) in [
        (
            Library::LightGbm,
            "lgb_ctr_binary_cat_nan.txt",
            "lgb_ctr_binary_cat_nan.rows.csv",
            "lgb_ctr_binary_cat_nan.raw.csv",
        ),
        (
            Library::XgBoost,
            "xgb_ctr_logistic_nan.json",
            "xgb_ctr_logistic_nan.rows.csv",
            "xgb_ctr_logistic_nan.margin.csv",
        ),
    ] {
        let model = folder.join(model).display().to_string();
        let (code, printed, error) = run(&["model", "predict", &model, &folder.join(rows).display().to_string()]);
        assert_eq!((code, error.as_str()), (Some(0), ""));
        let (ours, theirs) = (table(&printed), table(&fs::read_to_string(folder.join(raw)).unwrap()));
        assert_eq!((ours.len(), theirs.len()), (300, 300));
        for (line, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            same(library, ours, theirs).unwrap_or_else(|why| panic!("{model} row {}: {why}", line + 1));
        }
    }
}

// ---- the commands

#[test]
fn an_import_is_asked_and_shown_as_the_file_it_was_made_of() {
    let folder = Folder::new("import");
    let out = folder.text("model.corebid");
    for (format, file) in [
        ("lightgbm", "lgb_multiclass.txt"),
        ("xgboost", "xgb_softprob.json"),
        ("xgboost", "xgb_category.ubj"),
        ("lightgbm", "lgb_rf.txt"),
    ] {
        let from = fixture(file).display().to_string();
        // The file that the one before made is replaced.
        assert_eq!(run(&["model", "import", "--format", format, &from, &out]), (Some(0), String::new(), String::new()));
        let name = file.split('.').next().unwrap();
        let rows = fixture(&format!("{name}.rows.csv")).display().to_string();
        let (code, printed, error) = run(&["model", "predict", &out, &rows]);
        assert_eq!((code, error.as_str()), (Some(0), ""));
        assert_eq!(printed, run(&["model", "predict", &from, &rows]).1);
        let theirs = table(&text(&format!("{name}.raw.csv")));
        for (ours, theirs) in table(&printed).iter().zip(&theirs) {
            let library = if format == "lightgbm" { Library::LightGbm } else { Library::XgBoost };
            same(library, ours, theirs).unwrap();
        }
        let shown = |file: &str| {
            let (code, printed, _) = run(&["model", "show", file, "--json"]);
            assert_eq!(code, Some(0));
            serde_json::from_str::<Value>(&printed).unwrap()
        };
        assert_eq!(shown(&out), shown(&from));
        assert_eq!((&shown(&out)["library"], &shown(&out)["trees"]), (&json!(format), &json!(shown_trees(name))));
        assert!(run(&["model", "show", &out]).1.contains(&format!("{format} ")));
    }
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 1, "nothing is left beside it");
}

fn shown_trees(name: &str) -> usize {
    // Three rounds, of which those of three classes have a tree for each.
    if ["lgb_multiclass", "xgb_softprob"].contains(&name) { 9 } else { 3 }
}

#[test]
fn what_is_no_model_is_refused_and_nothing_is_written() {
    let folder = Folder::new("import");
    let out = folder.text("model.corebid");
    let linear = fixture("lgb_linear_tree.txt").display().to_string();
    let lightgbm = fixture("lgb_rf.txt").display().to_string();
    let empty = folder.write("empty", "").display().to_string();
    for (format, from, what) in [
        ("lightgbm", linear.as_str(), "linear tree"),
        ("xgboost", lightgbm.as_str(), "nor JSON or UBJSON of XGBoost"),
        ("lightgbm", empty.as_str(), "begins with `tree`"),
        ("xgboost", empty.as_str(), "nor JSON or UBJSON of XGBoost"),
        ("lightgbm", "/nowhere/at.all", "cannot read it"),
    ] {
        let (code, printed, error) = run(&["model", "import", "--format", format, from, &out]);
        assert_eq!((code, printed.as_str()), (Some(1), ""), "{error}");
        assert!(
            error.starts_with(&format!("corebid: {from}")) && error.contains(what) && error.lines().count() == 1,
            "{error}"
        );
        assert!(!Path::new(&out).exists());
    }
    assert_eq!(run(&["model", "import", "--format", "onnx", &lightgbm, &out]).0, Some(2));
    assert_eq!(run(&["model", "import", &lightgbm, &out]).0, Some(2));
    let nowhere = folder.text("nowhere/model.corebid");
    assert_eq!(run(&["model", "import", "--format", "lightgbm", &lightgbm, &nowhere]).0, Some(1));
}

#[test]
fn rows_are_read_as_promised() {
    let folder = Folder::new("rows");
    let model = fixture("lgb_binary_nan.txt").display().to_string();
    let predict =
        |rows: &str| run(&["model", "predict", &model, &folder.write("rows.csv", rows).display().to_string()]);
    let (code, plain, _) = predict("nan,nan,nan,nan,nan,nan\n1,2,3,4,5,inf\n1,2,3,4,5,-inf\n");
    assert_eq!((code, plain.lines().count()), (Some(0), 3));
    // The same rows otherwise: missing as empty, spaces, signs, ends of lines, none after the last.
    assert_eq!(
        predict(",NaN,,, ,\r\n1.0,+2,3e0, 4 ,5,Infinity\n1,2,3,4,5,-Inf"),
        (Some(0), plain.clone(), String::new())
    );
    assert_eq!(predict(""), (Some(0), String::new(), String::new()));
    for (rows, line, what) in [
        ("1,2,3,4,5,6\n1,2,3,4,5\n", 2, "5 cells"),
        ("1,2,3,4,5,6,7\n", 1, "7 cells"),
        ("1,2,3,4,5,6\n\n", 2, "1 cells"),
        ("1,2,3,4,5,6\n1,2,x,4,5,6\n", 2, "cell 3: `x`"),
        ("1,2,3,4,5,1_0\n", 1, "cell 6: `1_0`"),
        ("1;2;3;4;5;6\n", 1, "cell 1"),
        ("a,b,c,d,e,f\n", 1, "cell 1"),
    ] {
        let (code, _, error) = predict(rows);
        assert_eq!(code, Some(1));
        assert!(error.contains(&format!("rows.csv:{line}: ")) && error.contains(what), "{error}");
    }
    // An empty line is a missing value where there is one feature.
    let one = text("lgb_single_leaf.txt");
    let head = |key: &str, value: &str| {
        let line = one.lines().find(|line| line.starts_with(key)).unwrap();
        (format!("{line}\n"), format!("{key}={value}\n"))
    };
    let one = [("max_feature_idx", "0"), ("feature_names", "x"), ("feature_infos", "[0:1]")]
        .iter()
        .map(|(key, value)| head(key, value))
        .fold(one.clone(), |text, (from, to)| text.replace(&from, &to));
    let one = folder.write("one.txt", one).display().to_string();
    let rows = folder.write("one.csv", "\n1\n\n").display().to_string();
    assert_eq!(run(&["model", "predict", &one, &rows]), (Some(0), "2.5\n2.5\n2.5\n".to_owned(), String::new()));
}

#[test]
fn a_calibration_is_kept_with_its_model() {
    let folder = Folder::new("calibration");
    let (from, out) = (fixture("lgb_binary_nan.txt").display().to_string(), folder.text("model.corebid"));
    let imported = |calibration: &str, from: &str| {
        let file = folder.write("calibration.json", calibration).display().to_string();
        run(&["model", "import", "--format", "lightgbm", "--calibration", &file, "--note", "of today", from, &out])
    };
    assert_eq!(imported(r#"{"platt":{"a":2.0,"b":-0.5}}"#, &from).0, Some(0));
    let model = read(Path::new(&out)).unwrap();
    assert_eq!(model.origin.note, "of today");
    // 1 / (1 + e^-(2 * 0.75 - 0.5)), by hand.
    assert!((model.probability(0.75) - 0.731_058_578_630_004_9).abs() < 1e-15);
    assert_eq!(imported(r#"{"isotonic":{"points":[[-1.0,0.1],[0.0,0.3],[2.0,0.5]]}}"#, &from).0, Some(0));
    let model = read(Path::new(&out)).unwrap();
    for (raw, probability) in [(-9.0, 0.1), (-1.0, 0.1), (-0.5, 0.2), (0.0, 0.3), (1.0, 0.4), (2.0, 0.5), (1e300, 0.5)]
    {
        assert!((model.probability(raw) - probability).abs() < 1e-15, "{raw}");
    }
    let (_, shown, _) = run(&["model", "show", &out, "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["calibration"], json!({"isotonic": {"points": [[-1.0, 0.1], [0.0, 0.3], [2.0, 0.5]]}}));
    for (calibration, what) in [
        (r#"{"platt":{"a":-2.0,"b":-0.5}}"#, "slope"),
        (r#"{"platt":{"a":2.0}}"#, "missing field `b`"),
        (r#"{"platt":{"a":2.0,"b":1.0,"c":1.0}}"#, "unknown field `c`"),
        (r#"{"spline":{}}"#, "unknown variant `spline`"),
        (r#"{"isotonic":{"points":[]}}"#, "points"),
        (r#"{"isotonic":{"points":[[0.0,0.2],[0.0,0.3]]}}"#, "points"),
        (r#"{"isotonic":{"points":[[0.0,0.2],[1.0,0.1]]}}"#, "points"),
        (r#"{"isotonic":{"points":[[0.0,0.2],[1.0,1.1]]}}"#, "points"),
        ("", "EOF"),
    ] {
        let (code, _, error) = imported(calibration, &from);
        assert!(code == Some(1) && error.contains("calibration.json") && error.contains(what), "{error}");
    }
    let several = fixture("lgb_multiclass.txt").display().to_string();
    let (code, _, error) = imported(r#"{"platt":{"a":2.0,"b":-0.5}}"#, &several);
    assert!(code == Some(1) && error.contains("a model with 3 outputs"), "{error}");
}

// ---- damaged files

/// What a model says of the rows of its case.
fn said(model: &Model, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let score = |row: &Vec<f64>| {
        let mut out = vec![0.0; model.forest.base.len()];
        if row.len() == model.forest.features.len() {
            model.forest.walk(row, &mut out);
        }
        out
    };
    rows.iter().map(score).collect()
}

#[track_caller]
fn refused(library: Library, bytes: &[u8], what: &str) {
    let error = import_bytes(library, bytes).expect_err(what).to_string();
    assert!(error.contains(what) && !error.contains('\n'), "{error:?} for {what:?}");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for (library, files) in [
        (Library::LightGbm, ["lgb_categorical.txt", "lgb_single_leaf.txt", "lgb_rf.txt"]),
        (Library::XgBoost, ["xgb_category.json", "xgb_category.ubj", "xgb_single_leaf.ubj"]),
    ] {
        for file in files {
            let whole = bytes(file);
            import_bytes(library, &whole).unwrap();
            for end in 0..whole.len() {
                assert!(import_bytes(library, &whole[..end]).is_err(), "{file} cut at {end} of {}", whole.len());
            }
            // Nor does anything follow the end.
            let longer = [&whole[..], b"x"].concat();
            assert!(import_bytes(library, &longer).is_err(), "{file}");
        }
    }
}

#[test]
fn a_model_of_the_command_line_ends_with_its_parameters() {
    let python = text("lgb_rf.txt");
    let whole = python.strip_suffix("\npandas_categorical:null\n").unwrap();
    refused(Library::LightGbm, whole.as_bytes(), "pandas_categorical");
    let whole = whole.replace("[data: ]", "[data: clicks.tsv]");
    import_bytes(Library::LightGbm, whole.as_bytes()).unwrap();
    for end in 0..whole.len() {
        assert!(import_bytes(Library::LightGbm, &whole.as_bytes()[..end]).is_err(), "cut at {end}");
    }
    // One that was loaded without parameters and saved by Python has its last line alone.
    let (before, _) = python.split_once("\nparameters:\n").unwrap();
    import_bytes(Library::LightGbm, format!("{before}\npandas_categorical:[[\"a\"]]\n").as_bytes()).unwrap();
    refused(Library::LightGbm, before.as_bytes(), "pandas_categorical");
}

#[test]
fn a_line_dropped_or_doubled_is_refused_or_changes_nothing() {
    for case in fixtures().iter().filter(|case| case.library == Library::LightGbm && case.refused.is_none()) {
        let whole = fs::read_to_string(&case.files[0]).unwrap();
        let rows = case.table("rows").unwrap();
        let sound = said(&import_bytes(case.library, whole.as_bytes()).unwrap(), &rows);
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        let mut taken = 0;
        for at in 0..lines.len() {
            let (before, after) = lines.split_at(at);
            for damaged in [[before, &after[1..]].concat(), [before, &after[..1], after].concat()] {
                if let Ok(model) = import_bytes(case.library, damaged.concat().as_bytes()) {
                    assert_eq!(said(&model, &rows), sound, "{} line {}", case.name, at + 1);
                    taken += 1;
                    assert!(
                        !lines[at].contains('=') || lines[at].starts_with("Column_"),
                        "{}: {}",
                        case.name,
                        lines[at]
                    );
                }
            }
        }
        // Lists of the tail, which no prediction needs, and there only.
        assert!(taken > 0 && taken < 2 * lines.len(), "{}", case.name);
    }
}

/// The text with its tree_sizes made right.
fn resized(text: &str) -> String {
    let (head, trees) = text.split_once("\n\n").unwrap();
    let (trees, tail) = trees.split_once("end of trees\n").unwrap();
    let begins: Vec<usize> = trees.match_indices("Tree=").map(|(at, _)| at).chain([trees.len()]).collect();
    let sizes: Vec<String> = begins.windows(2).map(|pair| (pair[1] - pair[0]).to_string()).collect();
    let head: Vec<String> =
        head.lines()
            .map(|line| {
                if line.starts_with("tree_sizes=") {
                    format!("tree_sizes={}", sizes.join(" "))
                } else {
                    line.to_owned()
                }
            })
            .collect();
    format!("{}\n\n{trees}end of trees\n{tail}", head.join("\n"))
}

/// The first line of a text that begins with a key, with its first, or another, number replaced.
fn with(text: &str, key: &str, at: usize, number: &str) -> String {
    let begin = text.find(&format!("\n{key}=")).unwrap() + key.len() + 2;
    let end = begin + text[begin..].find('\n').unwrap();
    let mut numbers: Vec<&str> = text[begin..end].split(' ').collect();
    numbers[at] = number;
    resized(&format!("{}{}{}", &text[..begin], numbers.join(" "), &text[end..]))
}

#[test]
fn lightgbm_texts_that_contradict_themselves_are_refused() {
    let whole = text("lgb_categorical.txt");
    assert_eq!(resized(&whole), whole);
    for (key, at, number, what) in [
        ("left_child", 0, "0", "reached twice"),
        ("left_child", 0, "2000000000", "not there"),
        ("right_child", 0, "-2147483648", "not there"),
        ("right_child", 1, "0", "reached twice"),
        ("left_child", 0, "99999999999", "no number it can have"),
        ("split_feature", 0, "6", "feature 6, of 6"),
        ("split_feature", 0, "-1", "no number it can have"),
        ("num_leaves", 0, "14", "them, where there are"),
        ("num_leaves", 0, "0", "0 leaves"),
        ("num_leaves", 0, "4000000000", "too many in all"),
        ("num_leaves", 0, "1", "them, where there are"),
        ("num_cat", 0, "0", "not the number of a set"),
        ("num_cat", 0, "99", "them, where there are"),
        ("cat_boundaries", 0, "1", "does not part"),
        ("cat_boundaries", 1, "4000000000", "does not part"),
        ("cat_threshold", 0, "-1", "no number it can have"),
        ("decision_type", 0, "12", "decision_type is none"),
        ("decision_type", 0, "13", "decision_type is none"),
        ("threshold", 0, "nan", "node"),
        ("leaf_value", 0, "nan", "leaf 0 is NaN"),
        ("leaf_value", 0, "inf", "leaf 0 is inf"),
        ("leaf_value", 0, "1e999", "leaf 0 is inf"),
        ("leaf_value", 0, "", "them, where there are"),
        ("is_linear", 0, "1", "linear tree"),
        ("num_class", 0, "2", "num_class is not"),
        ("num_tree_per_iteration", 0, "2", "num_class is not"),
        ("num_tree_per_iteration", 0, "0", "0 outputs"),
        ("max_feature_idx", 0, "6", "of them, where there are 7"),
        ("max_feature_idx", 0, "70000", "features"),
        ("version", 0, "v5", "version `v5`"),
        ("objective", 0, "lambdamart", "objective `lambdamart` is not known"),
        ("objective", 1, "sigmoid:0", "without a sigmoid above 0"),
        ("objective", 1, "sigma:1", "is not known"),
        ("objective", 0, "multiclass", "how many classes"),
        ("feature_infos", 0, "a b", "of them, where there are 6"),
    ] {
        refused(Library::LightGbm, with(&whole, key, at, number).as_bytes(), what);
    }
    // Sizes that are not those of the trees.
    let sizes = whole.lines().find(|line| line.starts_with("tree_sizes=")).unwrap();
    for wrong in ["tree_sizes=", "tree_sizes=1", "tree_sizes=99999999999", &format!("{sizes} 10")] {
        let error = import_bytes(Library::LightGbm, whole.replace(sizes, wrong).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("tree_sizes"), "{error}");
    }
    refused(Library::LightGbm, text("lgb_rf.txt").replace("average_output\n", "").as_bytes(), "no average_output");
    refused(Library::LightGbm, whole.replace("objective=binary sigmoid:1\n", "").as_bytes(), "the head has none");
    refused(
        Library::LightGbm,
        whole.replace("num_class=1\n", "num_class=1\nnumber=1\n").as_bytes(),
        "`number` is not known",
    );
}

/// Every number of a text, one after the other, as others; those that are taken are asked, and end.
fn numbers_replaced(library: Library, text: &str, rows: &[Vec<f64>], mend: fn(&str) -> String) -> [usize; 2] {
    let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    let mut counts = [0; 2];
    let mut at = 0;
    while let Some(begin) = text[at..].find(|c: char| c.is_ascii_digit() || c == '-').map(|found| at + found) {
        let end = begin + text[begin..].find(|c| !is_part(c)).unwrap_or(text.len() - begin);
        for other in ["0", "-1", "1", "7", "2147483647", "4294967295", "-2147483648", "18446744073709551615", "1e300"] {
            let damaged = mend(&format!("{}{other}{}", &text[..begin], &text[end..]));
            let taken = import_bytes(library, damaged.as_bytes());
            counts[usize::from(taken.is_ok())] += 1;
            if let Ok(model) = taken {
                assert!(said(&model, &rows[..2]).iter().flatten().all(|score| !score.is_nan()));
            }
        }
        at = end.max(begin + 1);
    }
    counts
}

#[test]
fn numbers_replaced_never_make_a_walk_that_does_not_end() {
    let rows = fixtures().iter().find(|case| case.name == "lgb_categorical").unwrap().table("rows").unwrap();
    let whole = text("lgb_categorical.txt");
    // The trees of it; the rest is told apart above.
    let tree = whole.find("Tree=1").unwrap();
    let one = resized(&format!("{}{}", &whole[..tree], &whole[whole.find("end of trees").unwrap()..]));
    let [refused, taken] = numbers_replaced(Library::LightGbm, &one, &rows, resized);
    assert!(refused > 500 && taken > 500, "{refused} refused, {taken} taken");
    let mut json: Value = serde_json::from_str(&text("xgb_category.json")).unwrap();
    let model = &mut json["learner"]["gradient_booster"]["model"];
    model["trees"].as_array_mut().unwrap().truncate(1);
    model["tree_info"] = json!([0]);
    model["iteration_indptr"] = json!([0, 1]);
    model["gbtree_model_param"]["num_trees"] = json!("1");
    let [refused, taken] = numbers_replaced(Library::XgBoost, &json.to_string(), &rows, str::to_owned);
    assert!(refused > 500 && taken > 500, "{refused} refused, {taken} taken");
}

#[test]
fn xgboost_documents_that_contradict_themselves_are_refused() {
    let whole: Value = serde_json::from_str(&text("xgb_category.json")).unwrap();
    let tree = "/learner/gradient_booster/model/trees/0";
    let categorical = whole.pointer(&format!("{tree}/categories_nodes/0")).unwrap().clone();
    let root_left = whole.pointer(&format!("{tree}/left_children/0")).unwrap().as_i64().unwrap();
    let of_tree = |at: &str| format!("{tree}/{at}");
    for (at, value, what) in [
        (of_tree("left_children/0"), json!(0), "reached twice"),
        (of_tree("left_children/0"), json!(100_000), "not there"),
        (of_tree("left_children/0"), json!(-1), "not there"),
        (of_tree("left_children/0"), json!(-2), "not there"),
        (of_tree("left_children/0"), json!(5_000_000_000_u64), "not a model of XGBoost"),
        (of_tree("right_children/0"), json!(root_left), "reached twice"),
        (of_tree(&format!("left_children/{root_left}")), json!(0), "reached twice"),
        (of_tree(&format!("parents/{root_left}")), json!(3), "where its parent is"),
        (of_tree("split_indices/0"), json!(6), "feature 6, of 6"),
        (of_tree("split_conditions/0"), json!(-1e300), ""),
        (of_tree("split_type/0"), json!(2), "contradict"),
        (of_tree("default_left/0"), json!(2), "not a model of XGBoost"),
        (of_tree("categories_nodes/0"), json!(100), "contradict"),
        (of_tree("categories_segments/0"), json!(1), "not parted"),
        (of_tree("categories_sizes/0"), json!(100_000), "not parted"),
        (of_tree("categories/0"), json!(1 << 24), "a category beyond"),
        (of_tree("categories"), json!([]), "not parted"),
        (of_tree("parents"), json!([]), "0 parents"),
        (of_tree("tree_param/num_nodes"), json!("3"), "where num_nodes is 3"),
        (of_tree("tree_param/num_nodes"), json!("-3"), "num_nodes: `-3`"),
        (of_tree("tree_param/num_deleted"), json!("1"), "num_deleted is 1"),
        (of_tree("tree_param/num_feature"), json!("7"), "that of the model 6"),
        (of_tree("tree_param/size_leaf_vector"), json!("2"), "leaves are vectors"),
        ("/learner/gradient_booster/model/gbtree_model_param/num_trees".to_owned(), json!("4"), "where num_trees is 4"),
        ("/learner/gradient_booster/model/tree_info".to_owned(), json!([0]), "1 tree_info"),
        ("/learner/gradient_booster/model/tree_info/0".to_owned(), json!(1), "of output 1, of 1"),
        ("/learner/gradient_booster/model/iteration_indptr".to_owned(), json!([0, 2]), "iteration_indptr"),
        ("/learner/gradient_booster/name".to_owned(), json!("gbforest"), "`gbforest` is not known"),
        ("/learner/gradient_booster/name".to_owned(), json!("gblinear"), "linear model"),
        ("/learner/gradient_booster/name".to_owned(), json!("dart"), "`dart` is not known, or has no model"),
        ("/learner/learner_model_param/base_score".to_owned(), json!("[1E0]"), "a base_score of [1E0]"),
        ("/learner/learner_model_param/base_score".to_owned(), json!("[5E-1,5E-1]"), "2 base scores"),
        ("/learner/learner_model_param/base_score".to_owned(), json!("half"), "base_score: `half`"),
        ("/learner/learner_model_param/num_class".to_owned(), json!("3"), "num_class of 3"),
        ("/learner/learner_model_param/num_target".to_owned(), json!("5000"), "5000 targets"),
        ("/learner/learner_model_param/num_feature".to_owned(), json!("99"), "num_feature is"),
        ("/learner/feature_names".to_owned(), json!(["a"]), "1 feature_names"),
        ("/learner/objective/name".to_owned(), json!("reg:hopeful"), "`reg:hopeful` is not known"),
    ] {
        let mut damaged = whole.clone();
        *damaged.pointer_mut(&at).unwrap_or_else(|| panic!("{at}")) = value;
        refused(Library::XgBoost, damaged.to_string().as_bytes(), what);
    }
    // A node that is categorical and is not said to be.
    let mut damaged = whole.clone();
    *damaged.pointer_mut(&of_tree(&format!("split_type/{categorical}"))).unwrap() = json!(0);
    refused(Library::XgBoost, damaged.to_string().as_bytes(), "contradict");
    // A name that comes twice, as an attacker would have two readers disagree.
    let twice = text("xgb_category.json").replacen("\"version\":", "\"learner\":{},\"version\":", 1);
    refused(Library::XgBoost, twice.as_bytes(), "duplicate field `learner`");
    let deep = [&b"{\"careful\":"[..], &b"[".repeat(1_000_000)].concat();
    refused(Library::XgBoost, &deep, "not a model of XGBoost");
    let deep = [&b"{L\0\0\0\0\0\0\0\x07careful"[..], &b"[".repeat(1_000_000)].concat();
    refused(Library::XgBoost, &deep, "in one another");
    // Older versions write the base score bare.
    let mut older = whole.clone();
    let base = older.pointer_mut("/learner/learner_model_param/base_score").unwrap();
    *base = json!(base.as_str().unwrap().trim_matches(['[', ']']));
    assert_eq!(
        import_bytes(Library::XgBoost, older.to_string().as_bytes()).unwrap(),
        import_bytes(Library::XgBoost, whole.to_string().as_bytes()).unwrap()
    );
}

#[test]
fn an_import_cut_or_changed_anywhere_is_refused() {
    let folder = Folder::new("archive");
    for file in ["lgb_categorical.txt", "xgb_single_leaf.json"] {
        let model = read(&fixture(file)).unwrap();
        let path = folder.path("model.corebid");
        archive::write(&path, &model).unwrap();
        assert_eq!(archive::open(&path).unwrap(), model);
        let mut whole = fs::read(&path).unwrap();
        assert_eq!(whole, archive::bytes(&model));
        for end in 0..whole.len() {
            assert!(archive::open_bytes(&whole[..end]).is_err(), "cut at {end}");
        }
        assert!(archive::open_bytes(&[&whole[..], b"\0"].concat()).is_err());
        for at in 0..whole.len() {
            let bit = 1 << (at % 8);
            whole[at] ^= bit;
            assert!(archive::open_bytes(&whole).is_err(), "byte {at}");
            whole[at] ^= bit;
        }
        // As files: cut, an import is still told for one by its head.
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("damaged or cut"));
        fs::write(&path, b"").unwrap();
        assert!(archive::open(&path).is_err());
    }
}
