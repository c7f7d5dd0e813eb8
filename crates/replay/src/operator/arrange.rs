//! Operators that put values elsewhere and change none.

use super::arguments::{Arguments, size_of};
use crate::{
    error::Problem,
    tensor::{Tensor, Values, filled, places, steps},
};

/// Tensors one behind the other along an axis.
pub(super) fn concatenate(inputs: &[&Tensor], axis: i64) -> Result<Tensor, Problem> {
    let axis = inputs[0].axis(axis)?;
    let others = |tensor: &Tensor| {
        let mut shape = tensor.shape().to_vec();
        let rank = shape.len();
        if axis < rank {
            shape.remove(axis);
        }
        (rank, shape, tensor.values().element())
    };
    if inputs
        .iter()
        .any(|input| others(input) != others(inputs[0]))
    {
        return Err(Problem::new("the tensors differ in more than the axis"));
    }
    let (before, _, _) = inputs[0].around(axis);
    let mut joined = inputs[0].values().at(&[]);
    for start in 0..before {
        for input in inputs {
            let (_, extent, behind) = input.around(axis);
            let run = extent * behind;
            let places: Vec<usize> = (start * run..(start + 1) * run).collect();
            append(&mut joined, input.values().at(&places));
        }
    }
    let mut shape = inputs[0].shape().to_vec();
    shape[axis] = inputs.iter().map(|input| input.shape()[axis]).sum();
    Tensor::made(shape, joined)
}

/// Puts a run of values behind another one of its type.
pub(super) fn append(joined: &mut Values, more: Values) {
    match (joined, more) {
        (Values::Floats(joined), Values::Floats(more)) => joined.extend(more),
        (Values::Doubles(joined), Values::Doubles(more)) => joined.extend(more),
        (Values::Ints(joined), Values::Ints(more)) => joined.extend(more),
        (Values::Bytes(joined), Values::Bytes(more)) => joined.extend(more),
        (Values::Truths(joined), Values::Truths(more)) => joined.extend(more),
        (Values::Texts(joined), Values::Texts(more)) => joined.extend(more),
        (joined, _) => unreachable!("all runs are {}, as was checked", joined.element()),
    }
}

/// Another order of axes.
pub(super) fn transpose(input: &Tensor, order: &[i64]) -> Result<Tensor, Problem> {
    let order: Vec<usize> = order
        .iter()
        .map(|axis| input.axis(*axis))
        .collect::<Result<_, _>>()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..input.shape().len()).collect::<Vec<_>>() {
        return Err(Problem::new(format!("{order:?} is no order of its axes")));
    }
    let own = steps(input.shape());
    let shape: Vec<usize> = order.iter().map(|axis| input.shape()[*axis]).collect();
    let turned: Vec<usize> = order.iter().map(|axis| own[*axis]).collect();
    let found = input.values().at(&places(&shape, &turned));
    Tensor::made(shape, found)
}

/// The same values with other extents; one of them may be left open with −1, and 0 keeps one.
pub(super) fn reshape(
    input: &Tensor,
    shape: &Tensor,
    arguments: &Arguments<'_>,
) -> Result<Tensor, Problem> {
    arguments.only(&[])?;
    let asked = shape.ints()?;
    let kept = |axis: usize| input.shape().get(axis).copied().unwrap_or(0);
    let known: usize = asked
        .iter()
        .enumerate()
        .filter(|(_, extent)| **extent != -1)
        .map(|(axis, extent)| {
            if *extent == 0 {
                kept(axis)
            } else {
                *extent as usize
            }
        })
        .fold(1, usize::saturating_mul);
    let extent = |(axis, extent): (usize, &i64)| match extent {
        0 => kept(axis),
        -1 => input.values().len().checked_div(known).unwrap_or(0),
        extent => *extent as usize,
    };
    let shape = asked.iter().enumerate().map(extent).collect();
    Tensor::made(shape, input.values().clone())
}

/// Two axes: everything before an axis, and it with everything behind.
pub(super) fn flatten(input: &Tensor, axis: i64) -> Result<Tensor, Problem> {
    let (before, extent, behind) = input.around(input.axis(axis)?);
    Tensor::made(vec![before, extent * behind], input.values().clone())
}

/// Puts zeros before and behind along each axis; nothing is cut off.
pub(super) fn pad(
    input: &Tensor,
    pads: &Tensor,
    arguments: &Arguments<'_>,
) -> Result<Tensor, Problem> {
    arguments.only(&[])?;
    let pads: Option<Vec<usize>> = pads.ints()?.iter().map(|pad| size_of(*pad)).collect();
    let axes = input.shape().len();
    let pads = pads.filter(|pads| pads.len() == 2 * axes);
    let pads = pads.ok_or_else(|| Problem::new("two pads from 0 for each axis are needed"))?;
    let mut padded = input.clone();
    for axis in 0..axes {
        let zeros = |count: usize| -> Result<Tensor, Problem> {
            let mut shape = padded.shape().to_vec();
            shape[axis] = count;
            let values = match padded.values() {
                Values::Floats(_) => Values::Floats(filled(&shape, 0.0)?),
                Values::Ints(_) => Values::Ints(filled(&shape, 0)?),
                other => {
                    let problem = format!("{} is not padded here", other.element());
                    return Err(Problem(problem));
                }
            };
            Tensor::made(shape, values)
        };
        let (before, behind) = (zeros(pads[axis])?, zeros(pads[axes + axis])?);
        padded = concatenate(&[&before, &padded, &behind], axis as i64)?;
    }
    Ok(padded)
}

/// Takes axes of extent 1 away.
pub(super) fn squeeze(input: &Tensor, axes: &Tensor) -> Result<Tensor, Problem> {
    let gone: Vec<usize> = axes
        .ints()?
        .iter()
        .map(|axis| input.axis(*axis))
        .collect::<Result<_, _>>()?;
    if gone.iter().any(|axis| input.shape()[*axis] != 1) {
        return Err(Problem::new(format!(
            "not all of {gone:?} are 1 in {:?}",
            input.shape()
        )));
    }
    let shape = input.shape().iter().enumerate();
    let shape = shape
        .filter(|(axis, _)| !gone.contains(axis))
        .map(|(_, extent)| *extent);
    Tensor::made(shape.collect(), input.values().clone())
}

/// Puts axes of extent 1 in, at their places in the new shape.
pub(super) fn unsqueeze(input: &Tensor, axes: &Tensor) -> Result<Tensor, Problem> {
    let mut new: Vec<i64> = axes.ints()?.to_vec();
    new.sort_unstable();
    let mut shape = input.shape().to_vec();
    for axis in new {
        match usize::try_from(axis) {
            Ok(axis) if axis <= shape.len() => shape.insert(axis, 1),
            _ => return Err(Problem::new(format!("{axis} is no place for a new axis"))),
        }
    }
    Tensor::made(shape, input.values().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(shape: &[usize], values: &[i64]) -> Tensor {
        Tensor::new(shape.to_vec(), Values::Ints(values.to_vec())).unwrap()
    }

    #[test]
    fn axes_are_turned_and_turned_back() {
        let input = ints(&[1, 2, 3], &[1, 2, 3, 4, 5, 6]);
        let turned = transpose(&input, &[2, 0, 1]).unwrap();
        assert_eq!(turned, ints(&[3, 1, 2], &[1, 4, 2, 5, 3, 6]));
        assert_eq!(transpose(&turned, &[1, 2, 0]).unwrap(), input);
        assert!(transpose(&input, &[0, 0, 1]).is_err());
    }

    #[test]
    fn tensors_are_joined_along_any_axis() {
        let (a, b) = (ints(&[2, 1], &[1, 2]), ints(&[2, 2], &[3, 4, 5, 6]));
        assert_eq!(
            concatenate(&[&a, &b], 1).unwrap(),
            ints(&[2, 3], &[1, 3, 4, 2, 5, 6])
        );
        assert!(concatenate(&[&a, &b], 0).is_err());
        let flat = ints(&[2], &[7, 8]);
        assert!(concatenate(&[&b, &flat], 1).is_err());
        assert!(concatenate(&[&flat, &b], 0).is_err());
    }

    #[test]
    fn thousands_of_tensors_are_joined_as_value_after_value_is() {
        const ROWS: usize = 4;
        const BEHIND: usize = 2;
        let inputs: Vec<Tensor> = (0..3000)
            .map(|place: usize| {
                let shape = [ROWS, place % 3, BEHIND];
                let count = shape.iter().product::<usize>();
                let values = (0..count).map(|value| (place * 100 + value) as i64);
                ints(&shape, &values.collect::<Vec<i64>>())
            })
            .collect();
        let joined = concatenate(&inputs.iter().collect::<Vec<&Tensor>>(), 1).unwrap();
        let mut values = Vec::new();
        for row in 0..ROWS {
            for input in &inputs {
                let extent = input.shape()[1];
                for place in 0..extent * BEHIND {
                    values.push(input.ints().unwrap()[row * extent * BEHIND + place]);
                }
            }
        }
        assert_eq!(joined, ints(&[ROWS, 3000, BEHIND], &values));
    }

    #[test]
    fn zeros_are_put_around() {
        let pads = ints(&[4], &[0, 1, 1, 2]);
        let none = Arguments::of(&[]);
        let padded = pad(&ints(&[1, 2], &[7, 8]), &pads, &none).unwrap();
        assert_eq!(padded, ints(&[2, 5], &[0, 7, 8, 0, 0, 0, 0, 0, 0, 0]));
        assert!(pad(&padded, &ints(&[4], &[0, -1, 0, 0]), &none).is_err());
    }

    #[test]
    fn an_open_extent_is_what_is_left() {
        let input = ints(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let reshaped = |extents: &[i64]| {
            let shape = ints(&[extents.len()], extents);
            reshape(&input, &shape, &Arguments::of(&[]))
        };
        assert_eq!(reshaped(&[-1, 2]).unwrap().shape(), [3, 2]);
        assert_eq!(reshaped(&[0, 1, 3]).unwrap().shape(), [2, 1, 3]);
        assert!(reshaped(&[4, -1]).is_err());
        assert!(reshaped(&[-2, -3]).is_err());
    }
}
