//! What is read of XGBoost's file, in JSON or UBJSON: the parts of its schema (`doc/model.schema`) that predictions need. Numbers of
//! parameters are texts there. Lists may be missing that older versions do not write.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, IgnoredAny, Visitor};

#[derive(Deserialize)]
pub(super) struct Document {
    pub(super) learner: Learner,
    #[serde(default)]
    pub(super) version: Vec<u32>,
}

#[derive(Deserialize)]
pub(super) struct Learner {
    #[serde(default)]
    pub(super) feature_names: Vec<String>,
    pub(super) gradient_booster: Booster,
    pub(super) learner_model_param: Learnt,
    pub(super) objective: Objective,
}

#[derive(Deserialize)]
pub(super) struct Objective {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct Learnt {
    pub(super) base_score: String,
    pub(super) num_class: String,
    pub(super) num_feature: String,
    #[serde(default)]
    pub(super) num_target: Option<String>,
}

/// `gbtree` has a model; `dart` has a gbtree that has one, and what each tree is multiplied by; `gblinear` has something else.
#[derive(Deserialize)]
pub(super) struct Booster {
    pub(super) name: String,
    pub(super) model: Option<Model>,
    pub(super) gbtree: Option<Inner>,
    pub(super) weight_drop: Option<Vec<f32>>,
}

#[derive(Deserialize)]
pub(super) struct Inner {
    pub(super) model: Model,
}

#[derive(Deserialize)]
pub(super) struct Model {
    pub(super) gbtree_model_param: Option<Counts>,
    pub(super) iteration_indptr: Option<Vec<u64>>,
    #[serde(default)]
    pub(super) tree_info: Vec<u32>,
    #[serde(default)]
    pub(super) trees: Vec<Tree>,
}

#[derive(Deserialize)]
pub(super) struct Counts {
    pub(super) num_trees: String,
}

/// A tree: lists with a place for each node. A node without children is a leaf, and its split condition is its value.
#[derive(Deserialize)]
pub(super) struct Tree {
    pub(super) tree_param: TreeParam,
    pub(super) left_children: Vec<i32>,
    pub(super) right_children: Vec<i32>,
    pub(super) parents: Vec<i32>,
    pub(super) split_indices: Vec<u32>,
    pub(super) split_conditions: Vec<f32>,
    pub(super) default_left: Vec<Flag>,
    #[serde(default)]
    pub(super) split_type: Vec<u8>,
    /// Categories that go right, of all nodes that ask for one.
    #[serde(default)]
    pub(super) categories: Vec<u32>,
    /// Those nodes, and where the categories of each begin and how many they are.
    #[serde(default)]
    pub(super) categories_nodes: Vec<u32>,
    #[serde(default)]
    pub(super) categories_segments: Vec<usize>,
    #[serde(default)]
    pub(super) categories_sizes: Vec<usize>,
    /// Of vector leaves.
    pub(super) leaf_weights: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct TreeParam {
    pub(super) num_nodes: String,
    #[serde(default)]
    pub(super) num_deleted: Option<String>,
    #[serde(default)]
    pub(super) num_feature: Option<String>,
    #[serde(default)]
    pub(super) size_leaf_vector: Option<String>,
}

/// Yes or no, as a word or as 1 or 0.
#[derive(Clone, Copy)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Flag, D::Error> {
        struct Said;
        impl Visitor<'_> for Said {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, 1 or 0")
            }

            fn visit_bool<E: de::Error>(self, said: bool) -> Result<Flag, E> {
                Ok(Flag(said))
            }

            fn visit_u64<E: de::Error>(self, said: u64) -> Result<Flag, E> {
                match said {
                    0 | 1 => Ok(Flag(said == 1)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(said), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, said: i64) -> Result<Flag, E> {
                self.visit_u64(said as u64)
            }
        }
        deserializer.deserialize_any(Said)
    }
}
