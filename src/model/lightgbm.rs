//! LightGBM's text models, as its versions 3 and 4 write them.
//!
//! ```text
//!   tree                      the head: lines of key=value, an empty one at the end
//!   …
//!   tree_sizes=3491 3581 …    how long each tree is, bytes
//!
//!   Tree=0                    the trees: lines of key=value; lists are parted by blanks
//!   …
//!   end of trees
//!
//!   feature_importances: …    not read
//!
//!   parameters: …             a few are held against the head
//!   end of parameters
//!
//!   pandas_categorical:null   what Python writes last, in JSON
//! ```
//!
//! A file that was cut is told by its end. Python's last line is whole if its JSON and its newline are. A file without it is whole
//! only if its parameters end and name a file of training data, which is what the command line of LightGBM writes; where the data
//! came from memory, the line of Python is missing.
//!
//! What decides is LightGBM's `Tree::Decision` (`include/LightGBM/tree.h`): NaN is 0 where a node takes nothing, or zero, for
//! missing; a category goes right if it is NaN or negative.

use std::collections::HashMap;

use crate::limits;
use crate::model::forest::{Child, Forest, Library, Link, Missing, Node, Test, Tree};
use crate::model::{Calibration, Model, Origin};
use crate::snapshot::document::{Fault, fault};

/// Keys of the head; one that is not here may change what the model means.
const HEAD: [&str; 11] = [
    "version",
    "num_class",
    "num_tree_per_iteration",
    "label_index",
    "max_feature_idx",
    "objective",
    "average_output",
    "feature_names",
    "monotone_constraints",
    "feature_infos",
    "tree_sizes",
];
/// Keys of a tree.
const TREE: [&str; 23] = [
    "Tree",
    "num_leaves",
    "num_cat",
    "split_feature",
    "split_gain",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "leaf_value",
    "leaf_weight",
    "leaf_count",
    "internal_value",
    "internal_weight",
    "internal_count",
    "cat_boundaries",
    "cat_threshold",
    "is_linear",
    "leaf_const",
    "num_features",
    "leaf_features",
    "leaf_coeff",
    "shrinkage",
];

/// Bits of `decision_type`: the node asks for a category; missing values go left; and two of what is missing.
const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;

/// Reads a model.
pub(super) fn read(bytes: &[u8]) -> Result<Model, Fault> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            return fault(line, "not UTF-8");
        }
    };
    let file = File { text };
    let (head, body) = file.head()?;
    let (trees, tail) = file.trees(&head, body)?;
    let mut forest = Forest { library: Library::LightGbm, ..Forest::default() };
    let outputs = file.outputs(&head, &mut forest, trees.len())?;
    for (number, text) in trees.into_iter().enumerate() {
        file.tree(number, (number % outputs) as u32, text, &mut forest)?;
    }
    file.tail(&head, tail)?;
    let objective = head.get("objective").map_or("none", |line| line.value);
    Ok(Model {
        forest,
        calibration: Calibration::None,
        origin: Origin {
            version: head["version"].value.to_owned(),
            objective: objective.to_owned(),
            note: String::new(),
        },
    })
}

/// The whole text: a part of it knows its line by where it stands.
struct File<'a> {
    text: &'a str,
}

/// What a key says.
#[derive(Clone, Copy)]
struct Value<'a> {
    key: &'a str,
    value: &'a str,
}

type Fields<'a> = HashMap<&'a str, Value<'a>>;

impl<'a> File<'a> {
    /// The line on which a part of the text begins.
    fn line(&self, part: &str) -> usize {
        let at = part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr()).min(self.text.len());
        1 + self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
    }

    fn refused<T>(&self, part: &str, what: impl Into<String>) -> Result<T, Fault> {
        fault(self.line(part), what)
    }

    /// The fields of lines, each known and there once.
    fn fields(&self, text: &'a str, known: &[&str]) -> Result<Fields<'a>, Fault> {
        let mut fields = HashMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            if !known.contains(&key) {
                return self.refused(line, format!("`{}` is not known here", shortened(key)));
            }
            if fields.insert(key, Value { key, value }).is_some() {
                return self.refused(line, format!("a second `{key}`"));
            }
        }
        Ok(fields)
    }

    /// The head, and what follows it.
    fn head(&self) -> Result<(Fields<'a>, &'a str), Fault> {
        let Some(head) = self.text.strip_prefix("tree\n") else {
            return fault(1, "not a text model of LightGBM, which begins with `tree`");
        };
        let Some((head, body)) = head.split_once("\n\n") else {
            return fault(0, "the file ends within its head: it was cut");
        };
        let head = self.fields(head, &HEAD)?;
        let version = self.of(&head, "version", head_of(self.text))?;
        match version.value {
            "v3" | "v4" => Ok((head, body)),
            other => self.refused(version.value, format!("version `{}`; v3 and v4 are read", shortened(other))),
        }
    }

    fn of(&self, fields: &Fields<'a>, key: &'static str, begin: &str) -> Result<Value<'a>, Fault> {
        match fields.get(key) {
            Some(value) => Ok(*value),
            None => self.refused(begin, format!("no `{key}`")),
        }
    }

    fn number<T: std::str::FromStr>(&self, value: Value<'a>) -> Result<T, Fault> {
        value.value.parse().or_else(|_| {
            self.refused(value.key, format!("{}: `{}` is no number it can have", value.key, shortened(value.value)))
        })
    }

    /// A list of so many numbers.
    fn numbers<T: std::str::FromStr>(&self, value: Value<'a>, count: usize) -> Result<Vec<T>, Fault> {
        self.count(value, count)?;
        let number = |word: &'a str| self.number(Value { key: value.key, value: word });
        words(value.value).map(number).collect()
    }

    fn count(&self, value: Value<'a>, count: usize) -> Result<(), Fault> {
        match words(value.value).count() {
            found if found == count => Ok(()),
            found => self.refused(value.key, format!("{}: {found} of them, where there are {count}", value.key)),
        }
    }

    /// Texts of the trees, each as long as `tree_sizes` says, and what follows them.
    fn trees(&self, head: &Fields<'a>, body: &'a str) -> Result<(Vec<&'a str>, &'a str), Fault> {
        let sizes = self.of(head, "tree_sizes", head_of(self.text))?;
        let count = words(sizes.value).count();
        if count > limits::MODEL_TREES {
            return self.refused(sizes.key, format!("{count} trees; at most {} are taken", limits::MODEL_TREES));
        }
        let (mut trees, mut rest) = (Vec::with_capacity(count), body);
        for (number, size) in self.numbers::<usize>(sizes, count)?.into_iter().enumerate() {
            let begins = format!("Tree={number}\n");
            let cut =
                rest.split_at_checked(size).filter(|(tree, _)| tree.starts_with(&begins) && tree.ends_with("\n\n"));
            let Some((tree, after)) = cut else {
                return self.refused(rest, format!("tree {number} is not the {size} bytes long that tree_sizes says"));
            };
            trees.push(tree);
            rest = after;
        }
        match rest.strip_prefix("end of trees\n") {
            Some(tail) => Ok((trees, tail)),
            None => self.refused(rest, "`end of trees` does not follow the last tree of tree_sizes"),
        }
    }

    /// How many outputs there are; what the head says of them and of the features.
    fn outputs(&self, head: &Fields<'a>, forest: &mut Forest, trees: usize) -> Result<usize, Fault> {
        let begin = head_of(self.text);
        let of = |key| self.of(head, key, begin);
        let (classes, per_iteration) = (of("num_class")?, of("num_tree_per_iteration")?);
        let outputs: usize = self.number(per_iteration)?;
        if outputs == 0 || outputs > limits::MODEL_OUTPUTS {
            return self
                .refused(per_iteration.key, format!("{outputs} outputs; 1 to {} are taken", limits::MODEL_OUTPUTS));
        }
        if self.number::<usize>(classes)? != outputs {
            return self.refused(classes.key, "num_class is not num_tree_per_iteration");
        }
        if !trees.is_multiple_of(outputs) {
            return self
                .refused(per_iteration.key, format!("{trees} trees are not so many for each of {outputs} classes"));
        }
        self.number::<i32>(of("label_index")?)?;
        let last: usize = self.number(of("max_feature_idx")?)?;
        if last >= limits::MODEL_FEATURES {
            let most = limits::MODEL_FEATURES;
            return self
                .refused(of("max_feature_idx")?.key, format!("{last} and one features; at most {most} are taken"));
        }
        let names = of("feature_names")?;
        self.count(names, last + 1)?;
        self.count(of("feature_infos")?, last + 1)?;
        if let Some(constraints) = head.get("monotone_constraints") {
            self.numbers::<i8>(*constraints, last + 1)?;
        }
        forest.features = words(names.value).map(str::to_owned).collect();
        forest.base = vec![0.0; outputs];
        forest.averaged = head.contains_key("average_output");
        if let Some(objective) = head.get("objective") {
            let (link, classes) = self.link(*objective)?;
            if classes != outputs {
                return self
                    .refused(objective.key, format!("an objective of {classes} classes, where there are {outputs}"));
            }
            forest.link = link;
        }
        Ok(outputs)
    }

    /// What an objective does with raw scores, and how many classes it has.
    fn link(&self, objective: Value<'a>) -> Result<(Link, usize), Fault> {
        let mut said = words(objective.value);
        let name = said.next().unwrap_or("");
        let (mut slope, mut classes, mut root) = (None, None, false);
        for word in said {
            match word.split_once(':') {
                Some(("sigmoid", value)) => slope = Some(self.number::<f64>(Value { key: objective.key, value })?),
                Some(("num_class", value)) => {
                    classes = Some(self.number::<usize>(Value { key: objective.key, value })?)
                }
                None if word == "sqrt" => root = true,
                _ => return self.refused(objective.key, format!("`{}` of an objective is not known", shortened(word))),
            }
        }
        let link = match name {
            "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" if root => Link::Square,
            "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" | "lambdarank" | "rank_xendcg" => {
                Link::Identity
            }
            "poisson" | "gamma" | "tweedie" => Link::Exponential,
            "binary" | "multiclassova" => {
                let Some(slope) = slope.filter(|slope| slope.is_finite() && *slope > 0.0) else {
                    return self.refused(objective.key, "a binary objective without a sigmoid above 0");
                };
                Link::Logistic { slope }
            }
            "cross_entropy" => Link::Logistic { slope: 1.0 },
            "cross_entropy_lambda" => Link::Softplus,
            "multiclass" => Link::Softmax,
            other => return self.refused(objective.key, format!("the objective `{}` is not known", shortened(other))),
        };
        let several = matches!(name, "multiclass" | "multiclassova");
        match classes {
            Some(classes) if several && classes > 1 => Ok((link, classes)),
            None if !several => Ok((link, 1)),
            _ => self.refused(objective.key, "an objective that does not say how many classes it has, or must not"),
        }
    }

    fn tree(&self, number: usize, output: u32, text: &'a str, forest: &mut Forest) -> Result<(), Fault> {
        let fields = self.fields(text, &TREE)?;
        let of = |key| self.of(&fields, key, text);
        let leaf_count = of("num_leaves")?;
        let leaves: usize = self.number(leaf_count)?;
        let room = limits::MODEL_NODES - forest.nodes.len();
        let Some(nodes) = leaves.checked_sub(1).filter(|nodes| *nodes <= room) else {
            return self
                .refused(leaf_count.key, format!("tree {number} has {leaves} leaves; too few, or too many in all"));
        };
        if let Some(linear) = fields.get("is_linear")
            && self.number::<u8>(*linear)? != 0
        {
            return self.refused(
                linear.key,
                "a linear tree, with a regression in each leaf (linear_tree=true): only trees whose leaves are numbers are taken",
            );
        }
        for (key, count) in [
            ("split_gain", nodes),
            ("internal_value", nodes),
            ("internal_weight", nodes),
            ("internal_count", nodes),
            ("leaf_weight", if nodes == 0 { 0 } else { leaves }),
            ("leaf_count", leaves),
        ] {
            // A tree that is one leaf may leave out what it has one of.
            if let Some(value) = fields.get(key).filter(|value| nodes > 0 || !value.value.is_empty()) {
                self.count(*value, count)?;
            }
        }
        let tree = Tree {
            output,
            first_node: forest.nodes.len() as u32,
            nodes: nodes as u32,
            first_leaf: forest.leaves.len() as u32,
            leaves: leaves as u32,
        };
        forest.leaves.extend(self.numbers::<f64>(of("leaf_value")?, leaves)?);
        forest.trees.push(tree);
        let categories = of("num_cat")?;
        let sets: usize = self.number(categories)?;
        let sets = if sets == 0 { Vec::new() } else { self.sets(sets, &fields, text, forest)? };
        if nodes == 0 {
            return if sets.is_empty() { Ok(()) } else { self.refused(categories.key, "categories without a node") };
        }
        let features: Vec<u32> = self.numbers(of("split_feature")?, nodes)?;
        let thresholds: Vec<f64> = self.numbers(of("threshold")?, nodes)?;
        let kinds: Vec<u8> = self.numbers(of("decision_type")?, nodes)?;
        let lefts: Vec<i32> = self.numbers(of("left_child")?, nodes)?;
        let rights: Vec<i32> = self.numbers(of("right_child")?, nodes)?;
        let mut asked = 0;
        for node in 0..nodes {
            let of_node = |what: &str| self.refused(text, format!("tree {number}: node {node}: {what}"));
            let (kind, threshold) = (kinds[node], thresholds[node]);
            let missing = match kind >> 2 {
                0 => Missing::Never,
                1 => Missing::Zero,
                2 => Missing::Nan,
                _ => return of_node("its decision_type is none"),
            };
            let is_categorical = kind & CATEGORICAL != 0;
            let (test, missing) = if is_categorical {
                let Some((first, words)) = index(threshold).and_then(|set| sets.get(set)).copied() else {
                    return of_node("its threshold is not the number of a set of categories");
                };
                asked += 1;
                (Test::Among { first, words }, Missing::Never)
            } else {
                (Test::AtMost(threshold), missing)
            };
            forest.nodes.push(Node {
                feature: features[node],
                test,
                missing,
                missing_left: !is_categorical && kind & DEFAULT_LEFT != 0,
                left: child(lefts[node]),
                right: child(rights[node]),
            });
        }
        match asked == sets.len() {
            true => Ok(()),
            false => self
                .refused(categories.key, format!("tree {number}: {} sets, and {asked} nodes that ask one", sets.len())),
        }
    }

    /// The sets of a tree, as their first word in the forest's and how many they have. LightGBM's words have 32 bits.
    fn sets(
        &self,
        count: usize,
        fields: &Fields<'a>,
        text: &'a str,
        forest: &mut Forest,
    ) -> Result<Vec<(u32, u32)>, Fault> {
        let (bounds, bits) = (self.of(fields, "cat_boundaries", text)?, self.of(fields, "cat_threshold", text)?);
        let ends: Vec<usize> = self.numbers(bounds, count.saturating_add(1))?;
        let halves: Vec<u32> = self.numbers(bits, words(bits.value).count())?;
        if ends[0] != 0 || !ends.is_sorted() || ends[count] != halves.len() {
            return self.refused(bounds.key, "cat_boundaries does not part cat_threshold into sets");
        }
        if forest.sets.len() + halves.len() > limits::MODEL_SET_WORDS {
            return self.refused(bits.key, "more categories than are taken");
        }
        let set = |bounds: &[usize]| {
            let first = forest.sets.len() as u32;
            let pairs = halves[bounds[0]..bounds[1]].chunks(2);
            forest.sets.extend(pairs.map(|pair| u64::from(pair[0]) | u64::from(*pair.get(1).unwrap_or(&0)) << 32));
            (first, forest.sets.len() as u32 - first)
        };
        Ok(ends.windows(2).map(set).collect())
    }

    /// What follows the trees: that it is there to its end, and does not contradict the head.
    fn tail(&self, head: &Fields<'a>, tail: &'a str) -> Result<(), Fault> {
        const CUT: &str = "the file was cut";
        let Some(importances) = tail.strip_prefix("\nfeature_importances:\n") else {
            return self.refused(tail, format!("no feature_importances after the trees: {CUT}"));
        };
        let (before, pandas) = match importances.split_once("\npandas_categorical:") {
            Some((before, pandas)) => (before, Some(pandas)),
            None => (importances, None),
        };
        let parameters = match before.split_once("\nparameters:\n") {
            None => None,
            Some((_, parameters)) => match parameters.strip_suffix("\nend of parameters\n") {
                Some(parameters) => Some(parameters),
                None => {
                    return self
                        .refused(parameters, format!("the parameters do not end with `end of parameters`: {CUT}"));
                }
            },
        };
        let said = |name: &str| {
            let lines = parameters.unwrap_or("").lines();
            lines
                .filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')?.split_once(": "))
                .find(|(key, _)| *key == name)
        };
        match pandas {
            Some(pandas) => {
                let line = pandas.strip_suffix('\n').filter(|line| !line.contains('\n'));
                let json = line.map(serde_json::from_str::<serde::de::IgnoredAny>);
                if !matches!(json, Some(Ok(_))) {
                    return self
                        .refused(pandas, format!("pandas_categorical is not JSON with a newline after it: {CUT}"));
                }
            }
            None if said("data").is_some_and(|(_, file)| !file.is_empty()) => {}
            None => {
                return self.refused(
                    &self.text[self.text.len()..],
                    format!(
                        "the last line is not `pandas_categorical:`, which Python writes: {CUT}. If R or C wrote the file, add \
                         the line `pandas_categorical:null`"
                    ),
                );
            }
        }
        if let Some((key, boosting)) = said("boosting")
            && boosting == "rf"
            && !head.contains_key("average_output")
        {
            return self.refused(key, "boosting is rf, but the head has no average_output");
        }
        if let Some((key, objective)) = said("objective")
            && !head.contains_key("objective")
            && !["", "none", "custom"].contains(&objective)
        {
            return self.refused(key, "the parameters have an objective, the head has none");
        }
        Ok(())
    }
}

fn head_of(text: &str) -> &str {
    &text[..0]
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(' ').filter(|word| !word.is_empty())
}

fn child(number: i32) -> Child {
    // LightGBM writes leaves as the complement of their number.
    if number < 0 { Child::Leaf(!number as u32) } else { Child::Node(number as u32) }
}

/// The number of a set, which LightGBM keeps where other nodes have a threshold.
fn index(threshold: f64) -> Option<usize> {
    let index = threshold as usize;
    #[allow(clippy::float_cmp, reason = "it is a whole number or none")]
    let whole = index as f64 == threshold;
    whole.then_some(index)
}

/// Of what a file says, as much as a message can hold.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| &text[..end])
}
