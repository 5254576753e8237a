//! The columns of the files, and how rows become columns.

use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type};
use parquet::errors::Result;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::{Type, TypePtr};

use crate::bid::train::Row;
use crate::ring::message::Outcome;
use crate::snapshot::features::Schema;
use crate::units::BidId;

/// What a file of `T` looks like.
pub(super) struct Layout<T> {
    pub(super) schema: TypePtr,
    pub(super) properties: WriterPropertiesPtr,
    columns: Vec<Column<T>>,
}

/// A column: where its values come from.
enum Column<T> {
    Text(Box<dyn Fn(&T) -> ByteArray + Send>),
    Long(fn(&T) -> i64),
    Int(fn(&T) -> i32),
    Float(Box<dyn Fn(&T) -> f32 + Send>),
}

impl Layout<Row> {
    /// Rows with the features of a schema.
    pub(super) fn rows(schema: &Schema, exchanges: Vec<String>) -> Layout<Row> {
        let exchange =
            move |row: &Row| exchanges.get(usize::from(row.exchange.0)).map_or("", |name| name.as_str()).into();
        let mut columns: Vec<(String, Column<Row>)> = vec![
            ("bid_id".into(), Column::Text(Box::new(|row| hex(row.bid)))),
            ("time_ms".into(), Column::Long(|row| row.at.0 as i64)),
            ("exchange".into(), Column::Text(Box::new(exchange))),
            ("campaign".into(), Column::Int(|row| row.campaign.0 as i32)),
            ("creative".into(), Column::Int(|row| row.creative.into())),
            ("arm".into(), Column::Text(Box::new(|row| row.arm.as_str().into()))),
            ("price_cpm_micros".into(), Column::Long(|row| row.price.0)),
            ("predicted".into(), Column::Float(Box::new(|row| row.predicted))),
        ];
        let features = schema.names().enumerate();
        columns.extend(
            features.map(|(at, name)| {
                (format!("f.{name}"), Column::Float(Box::new(move |row: &Row| row.features[at]) as _))
            }),
        );
        let told = vec![
            KeyValue::new("corebid.schema".to_owned(), schema.text().to_owned()),
            KeyValue::new("corebid.fingerprint".to_owned(), format!("{:016x}", schema.fingerprint())),
        ];
        Layout::new("rows", columns, told)
    }
}

impl Layout<Outcome> {
    /// What became of them.
    pub(super) fn outcomes() -> Layout<Outcome> {
        let columns = vec![
            ("bid_id".into(), Column::Text(Box::new(|outcome: &Outcome| hex(outcome.bid)) as _)),
            ("time_ms".into(), Column::Long(|outcome: &Outcome| outcome.at.0 as i64)),
            ("kind".into(), Column::Text(Box::new(|outcome: &Outcome| outcome.kind.label().into()))),
            ("micros".into(), Column::Long(|outcome: &Outcome| outcome.micros.0)),
        ];
        Layout::new("outcomes", columns, Vec::new())
    }
}

impl<T> Layout<T> {
    fn new(name: &str, columns: Vec<(String, Column<T>)>, told: Vec<KeyValue>) -> Layout<T> {
        let fields = columns.iter().map(|(name, column)| {
            let (physical, logical) = match column {
                Column::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
                Column::Long(_) => (Physical::INT64, None),
                Column::Int(_) => (Physical::INT32, None),
                Column::Float(_) => (Physical::FLOAT, None),
            };
            let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED);
            Arc::new(field.with_logical_type(logical).build().expect("a type that Parquet has"))
        });
        let schema = Type::group_type_builder(name).with_fields(fields.collect()).build().expect("a group of columns");
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("corebid ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata((!told.is_empty()).then_some(told));
        Layout {
            schema: Arc::new(schema),
            properties: Arc::new(properties.build()),
            columns: columns.into_iter().map(|(_, column)| column).collect(),
        }
    }

    /// Writes items as one row group.
    pub(super) fn write<W: std::io::Write + Send>(
        &self,
        items: &[T],
        mut group: SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        for column in &self.columns {
            match column {
                Column::Text(of) => next::<ByteArrayType, _>(&mut group, items.iter().map(of).collect())?,
                Column::Long(of) => next::<Int64Type, _>(&mut group, items.iter().map(of).collect())?,
                Column::Int(of) => next::<Int32Type, _>(&mut group, items.iter().map(of).collect())?,
                Column::Float(of) => next::<FloatType, _>(&mut group, items.iter().map(of).collect())?,
            }
        }
        group.close().map(drop)
    }
}

fn next<D: DataType, W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: Vec<D::T>,
) -> Result<()> {
    let mut column = group.next_column()?.expect("as many columns as the schema has");
    column.typed::<D>().write_batch(&values, None, None)?;
    column.close()
}

/// As in the response.
fn hex(BidId(bytes): BidId) -> ByteArray {
    format!("{:032x}", u128::from_be_bytes(bytes)).into_bytes().into()
}
