//! What flows through a graph: values of one type with a shape.

use std::fmt;

use crate::{error::Problem, message::Constant};

/// What the values of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// `f32`.
    Float,
    /// `f64`.
    Double,
    /// `i64`.
    Int,
    /// `u8`.
    Byte,
    /// True or false.
    Truth,
    /// Text.
    Text,
}

impl Element {
    /// The type that ONNX gives this number.
    pub(crate) fn numbered(number: i64) -> Option<Element> {
        Some(match number {
            1 => Element::Float,
            2 => Element::Byte,
            7 => Element::Int,
            8 => Element::Text,
            9 => Element::Truth,
            11 => Element::Double,
            _ => return None,
        })
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Element::Float => "float",
            Element::Double => "double",
            Element::Int => "int64",
            Element::Byte => "uint8",
            Element::Truth => "bool",
            Element::Text => "string",
        })
    }
}

/// Values of one type, the last extent of their shape running fastest.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// `f32`.
    Floats(Vec<f32>),
    /// `f64`.
    Doubles(Vec<f64>),
    /// `i64`.
    Ints(Vec<i64>),
    /// `u8`.
    Bytes(Vec<u8>),
    /// True or false.
    Truths(Vec<bool>),
    /// Texts.
    Texts(Vec<String>),
}

impl Values {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Values::Floats(values) => values.len(),
            Values::Doubles(values) => values.len(),
            Values::Ints(values) => values.len(),
            Values::Bytes(values) => values.len(),
            Values::Truths(values) => values.len(),
            Values::Texts(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What they are.
    pub fn element(&self) -> Element {
        match self {
            Values::Floats(_) => Element::Float,
            Values::Doubles(_) => Element::Double,
            Values::Ints(_) => Element::Int,
            Values::Bytes(_) => Element::Byte,
            Values::Truths(_) => Element::Truth,
            Values::Texts(_) => Element::Text,
        }
    }

    /// The values at these places.
    pub(crate) fn at(&self, places: &[usize]) -> Values {
        fn chosen<T: Clone>(values: &[T], places: &[usize]) -> Vec<T> {
            places.iter().map(|place| values[*place].clone()).collect()
        }
        match self {
            Values::Floats(values) => Values::Floats(chosen(values, places)),
            Values::Doubles(values) => Values::Doubles(chosen(values, places)),
            Values::Ints(values) => Values::Ints(chosen(values, places)),
            Values::Bytes(values) => Values::Bytes(chosen(values, places)),
            Values::Truths(values) => Values::Truths(chosen(values, places)),
            Values::Texts(values) => Values::Texts(chosen(values, places)),
        }
    }
}

/// Values with a shape; there are as many as the extents multiply to.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    values: Values,
}

impl Tensor {
    /// `None` if the number of values is not what the shape says, or an extent is beyond what memory holds.
    pub fn new(shape: Vec<usize>, values: Values) -> Option<Tensor> {
        let is_right = is_bearable(&shape) && count(&shape) == Some(values.len());
        is_right.then_some(Tensor { shape, values })
    }

    /// Its extents, slowest first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its values.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The result of an operator, whose shape and values must agree.
    pub(crate) fn made(shape: Vec<usize>, values: Values) -> Result<Tensor, Problem> {
        let length = values.len();
        Tensor::new(shape.clone(), values)
            .ok_or_else(|| Problem::new(format!("{length} values have not the shape {shape:?}")))
    }

    pub(crate) fn floats(&self) -> Result<&[f32], Problem> {
        match &self.values {
            Values::Floats(values) => Ok(values),
            other => Err(Problem::new(format!(
                "float is needed, {} was given",
                other.element()
            ))),
        }
    }

    pub(crate) fn ints(&self) -> Result<&[i64], Problem> {
        match &self.values {
            Values::Ints(values) => Ok(values),
            other => Err(Problem::new(format!(
                "int64 is needed, {} was given",
                other.element()
            ))),
        }
    }

    pub(crate) fn truths(&self) -> Result<&[bool], Problem> {
        match &self.values {
            Values::Truths(values) => Ok(values),
            other => Err(Problem::new(format!(
                "bool is needed, {} was given",
                other.element()
            ))),
        }
    }

    /// Floats or doubles, as `f64`.
    pub(crate) fn reals(&self) -> Result<Vec<f64>, Problem> {
        match &self.values {
            Values::Floats(values) => Ok(values.iter().map(|value| f64::from(*value)).collect()),
            Values::Doubles(values) => Ok(values.clone()),
            other => {
                let found = other.element();
                Err(Problem::new(format!(
                    "float or double is needed, {found} was given"
                )))
            }
        }
    }

    /// Rounds results to the type of this tensor, and gives them a shape.
    pub(crate) fn alike(&self, shape: Vec<usize>, results: Vec<f64>) -> Result<Tensor, Problem> {
        let values = match self.values {
            Values::Doubles(_) => Values::Doubles(results),
            _ => Values::Floats(results.into_iter().map(|value| value as f32).collect()),
        };
        Tensor::made(shape, values)
    }

    /// The axis that a number means, counted from the end if it is negative.
    pub(crate) fn axis(&self, axis: i64) -> Result<usize, Problem> {
        let rank = self.shape.len();
        let counted = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(counted)
            .ok()
            .filter(|axis| *axis < rank)
            .ok_or_else(|| Problem::new(format!("the shape {:?} has no axis {axis}", self.shape)))
    }

    /// Extents before an axis, of it, and behind it, each multiplied.
    pub(crate) fn around(&self, axis: usize) -> (usize, usize, usize) {
        let product = |extents: &[usize]| extents.iter().product();
        (
            product(&self.shape[..axis]),
            self.shape[axis],
            product(&self.shape[axis + 1..]),
        )
    }

    /// A tensor as the file stores it.
    pub(crate) fn stored(constant: &Constant) -> Result<Tensor, String> {
        let extent = |dim: &i64| usize::try_from(*dim).map_err(|_| format!("an extent is {dim}"));
        let shape: Vec<usize> = constant.dims.iter().map(extent).collect::<Result<_, _>>()?;
        let bytes = &constant.raw_data;
        let values = match Element::numbered(constant.data_type.into()) {
            Some(Element::Float) => Values::Floats(numbers(bytes, f32::from_le_bytes)?),
            Some(Element::Double) => Values::Doubles(numbers(bytes, f64::from_le_bytes)?),
            Some(Element::Int) => Values::Ints(numbers(bytes, i64::from_le_bytes)?),
            Some(Element::Byte) => Values::Bytes(bytes.clone()),
            _ => return Err(format!("its type has the number {}", constant.data_type)),
        };
        let length = values.len();
        Tensor::new(shape, values).ok_or_else(|| format!("{length} values do not fit its shape"))
    }
}

fn numbers<T, const SIZE: usize>(
    bytes: &[u8],
    read: fn([u8; SIZE]) -> T,
) -> Result<Vec<T>, String> {
    let (chunks, rest) = bytes.as_chunks::<SIZE>();
    match rest.is_empty() {
        true => Ok(chunks.iter().map(|chunk| read(*chunk)).collect()),
        false => Err(format!(
            "{} bytes are no whole number of values",
            bytes.len()
        )),
    }
}

/// How many values a shape has, unless there are more than can be counted.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |count, extent| count.checked_mul(*extent))
}

/// Values of one tensor at most, so that a damaged file is refused before it takes minutes or all memory: while a
/// tensor is made, each of its values takes some dozens of bytes.
const VALUES_MAX: usize = 1 << 26;

/// Whether a shape's extents, those of nothing left out, multiply to a number of values that can be held.
fn is_bearable(shape: &[usize]) -> bool {
    let extents: Vec<usize> = shape.iter().map(|extent| *extent.max(&1)).collect();
    count(&extents).is_some_and(|count| count <= VALUES_MAX)
}

/// Space for the values of a shape.
///
/// # Errors
/// If there is not so much memory.
pub(crate) fn room<T>(shape: &[usize]) -> Result<Vec<T>, Problem> {
    let refused = || Problem(format!("{shape:?} values are more than memory holds"));
    let count = count(shape).filter(|_| is_bearable(shape));
    let mut values = Vec::new();
    values
        .try_reserve_exact(count.ok_or_else(refused)?)
        .map_err(|_| refused())?;
    Ok(values)
}

/// The same value everywhere in a shape.
///
/// # Errors
/// If there is not so much memory.
pub(crate) fn filled<T: Clone>(shape: &[usize], value: T) -> Result<Vec<T>, Problem> {
    let mut values = room(shape)?;
    values.resize(count(shape).unwrap_or(0), value);
    Ok(values)
}

/// The shape of two shapes laid over each other: extents are equal, or one of them is 1.
pub(crate) fn overlaid(left: &[usize], right: &[usize]) -> Result<Vec<usize>, Problem> {
    let rank = left.len().max(right.len());
    let from_end = |shape: &[usize], place: usize| match shape.len().checked_sub(place + 1) {
        Some(axis) => shape[axis],
        None => 1,
    };
    let mut shape = Vec::with_capacity(rank);
    for place in (0..rank).rev() {
        match (from_end(left, place), from_end(right, place)) {
            (a, b) if a == b => shape.push(a),
            (1, b) => shape.push(b),
            (a, 1) => shape.push(a),
            _ => {
                let problem = format!("the shapes {left:?} and {right:?} do not fit each other");
                return Err(Problem(problem));
            }
        }
    }
    match is_bearable(&shape) {
        true => Ok(shape),
        false => Err(Problem(format!(
            "{shape:?} values are more than memory holds"
        ))),
    }
}

/// For each place of a shape, the place in a tensor whose axes move by these steps.
pub(crate) fn places(shape: &[usize], steps: &[usize]) -> Vec<usize> {
    if shape.contains(&0) {
        return Vec::new();
    }
    let mut found = vec![0];
    for (extent, step) in shape.iter().zip(steps) {
        found = found
            .iter()
            .flat_map(|start| (0..*extent).map(move |index| start + index * step))
            .collect();
    }
    found
}

/// From one value to the next along each axis.
pub(crate) fn steps(shape: &[usize]) -> Vec<usize> {
    let mut steps = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        steps[axis - 1] = steps[axis] * shape[axis];
    }
    steps
}

/// For each place of the overlaid shape, the place in one of the two: an extent of 1 is repeated.
pub(crate) fn repeated(from: &[usize], to: &[usize]) -> Vec<usize> {
    let missing = to.len() - from.len();
    let own = steps(from);
    let repeating: Vec<usize> = (0..to.len())
        .map(|axis| match axis.checked_sub(missing) {
            Some(axis) if from[axis] > 1 => own[axis],
            _ => 0,
        })
        .collect();
    places(to, &repeating)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_laid_over_each_other_from_the_end() {
        assert_eq!(overlaid(&[4, 1, 3], &[5, 1]), Ok(vec![4, 5, 3]));
        assert_eq!(overlaid(&[], &[2]), Ok(vec![2]));
        assert!(overlaid(&[4, 2], &[3]).is_err());
        // A damaged file took half a minute to compare so many pairs.
        assert!(overlaid(&[8192, 1], &[8192]).is_ok());
        assert!(overlaid(&[40_000, 1], &[40_000]).is_err());
        assert_eq!(repeated(&[2, 1], &[2, 3]), [0, 0, 0, 1, 1, 1]);
        assert_eq!(repeated(&[3], &[2, 3]), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_tensor_has_as_many_values_as_its_shape_says() {
        assert!(Tensor::new(vec![2, 3], Values::Ints(vec![0; 6])).is_some());
        assert!(Tensor::new(vec![2, 3], Values::Ints(vec![0; 5])).is_none());
        assert!(Tensor::new(vec![usize::MAX, 2], Values::Ints(vec![])).is_none());
    }
}
