//! The part of the ONNX file format that an exported network needs, as protobuf messages.
//!
//! Field numbers are those of `onnx.proto` (ONNX 1.12, IR version 8). The format is proto2: repeated
//! numbers are written unpacked, which strict readers insist on, and optional ones are written even
//! when they are 0. Large numbers go as raw little-endian bytes.

/// A whole file.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Model {
    #[prost(int64, optional, tag = "1")]
    pub(super) ir_version: Option<i64>,
    #[prost(string, tag = "2")]
    pub(super) producer_name: String,
    #[prost(string, tag = "3")]
    pub(super) producer_version: String,
    #[prost(string, tag = "6")]
    pub(super) doc_string: String,
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub(super) opset_import: Vec<OperatorSet>,
    #[prost(message, repeated, tag = "14")]
    pub(super) metadata_props: Vec<Property>,
}

/// Which version of which operators is meant.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OperatorSet {
    #[prost(string, optional, tag = "1")]
    pub(super) domain: Option<String>,
    #[prost(int64, optional, tag = "2")]
    pub(super) version: Option<i64>,
}

/// A fact about the model.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Property {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// Nodes in an order in which they can be computed.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(super) node: Vec<Node>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializer: Vec<Constant>,
    #[prost(message, repeated, tag = "11")]
    pub(super) input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub(super) output: Vec<ValueInfo>,
}

/// One operation.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub(super) domain: String,
}

/// A fixed argument of an operation; `kind` says which one of the fields holds it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(float, optional, tag = "2")]
    pub(super) float: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub(super) int: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) text: Option<Vec<u8>>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub(super) ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(super) texts: Vec<Vec<u8>>,
    #[prost(enumeration = "AttributeKind", optional, tag = "20")]
    pub(super) kind: Option<i32>,
}

/// Which field of an attribute is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum AttributeKind {
    /// None; no attribute is written so.
    Undefined = 0,
    /// A number.
    Float = 1,
    /// A whole number.
    Int = 2,
    /// A text.
    Text = 3,
    /// Whole numbers.
    Ints = 7,
    /// Texts.
    Texts = 8,
}

/// Numbers that belong to the model.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Constant {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub(super) dims: Vec<i64>,
    #[prost(enumeration = "ElementType", optional, tag = "2")]
    pub(super) data_type: Option<i32>,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub(super) raw_data: Option<Vec<u8>>,
}

/// What the values of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum ElementType {
    /// Unknown; no tensor is written so.
    Undefined = 0,
    /// `f32`.
    Float = 1,
    /// `u8`.
    Byte = 2,
    /// `i64`.
    Int64 = 7,
    /// Text.
    Text = 8,
    /// True or false.
    Bool = 9,
    /// `f64`.
    Double = 11,
}

/// An input or output of the graph.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ValueInfo {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value_type: Option<ValueType>,
    #[prost(string, tag = "3")]
    pub(super) doc_string: String,
}

/// What a value is; only tensors are used.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ValueType {
    #[prost(message, optional, tag = "1")]
    pub(super) tensor: Option<TensorType>,
}

/// A tensor's type.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TensorType {
    #[prost(enumeration = "ElementType", optional, tag = "1")]
    pub(super) element: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<TensorShape>,
}

/// A tensor's extents.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TensorShape {
    #[prost(message, repeated, tag = "1")]
    pub(super) dim: Vec<Extent>,
}

/// One extent: a number, or a name for what is only known when the model runs.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Extent {
    #[prost(int64, optional, tag = "1")]
    pub(super) fixed: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(super) named: Option<String>,
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn repeated_numbers_are_written_unpacked_and_zeros_are_written() {
        let constant = Constant {
            dims: vec![3, 0],
            ..Constant::default()
        };
        // Field 1 as a number (tag 8), twice; packed it would be one field of bytes (tag 10).
        assert_eq!(constant.encode_to_vec(), [8, 3, 8, 0]);
        let attribute = Attribute {
            int: Some(0),
            ..Attribute::default()
        };
        assert_eq!(attribute.encode_to_vec(), [24, 0]);
    }
}
