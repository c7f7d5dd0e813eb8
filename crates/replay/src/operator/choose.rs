//! Operators that choose values: by a condition, by places, by a range, the largest.

use super::{arguments::Arguments, arrange::append};
use crate::{
    error::Problem,
    tensor::{Tensor, Values, overlaid, repeated, room},
};

/// From one tensor where a condition holds, from the other elsewhere.
pub(super) fn either(condition: &Tensor, yes: &Tensor, no: &Tensor) -> Result<Tensor, Problem> {
    let shape = overlaid(condition.shape(), &overlaid(yes.shape(), no.shape())?)?;
    let condition_at = repeated(condition.shape(), &shape);
    let (yes_at, no_at) = (repeated(yes.shape(), &shape), repeated(no.shape(), &shape));
    let holds = condition.truths()?;
    if yes.values().element() != no.values().element() {
        return Err(Problem::new("both choices must be of one type"));
    }
    let mut joined = yes.values().clone();
    append(&mut joined, no.values().clone());
    let chosen = |place: usize| match holds[condition_at[place]] {
        true => yes_at[place],
        false => yes.values().len() + no_at[place],
    };
    let places: Vec<usize> = (0..condition_at.len()).map(chosen).collect();
    Tensor::made(shape, joined.at(&places))
}

/// Whole slices along an axis, by their places; a negative place counts from the end.
pub(super) fn gather(table: &Tensor, places: &Tensor, axis: i64) -> Result<Tensor, Problem> {
    let axis = table.axis(axis)?;
    let (before, extent, behind) = table.around(axis);
    let place = |place: &i64| {
        let counted = if *place < 0 {
            place + extent as i64
        } else {
            *place
        };
        usize::try_from(counted)
            .ok()
            .filter(|counted| *counted < extent)
            .ok_or_else(|| Problem::new(format!("there is no place {place} among {extent}")))
    };
    let chosen: Vec<usize> = places.ints()?.iter().map(place).collect::<Result<_, _>>()?;
    let mut found = room(&[before, chosen.len(), behind])?;
    for start in 0..before {
        for place in &chosen {
            found.extend((0..behind).map(|offset| (start * extent + place) * behind + offset));
        }
    }
    let shape = [
        &table.shape()[..axis],
        places.shape(),
        &table.shape()[axis + 1..],
    ]
    .concat();
    Tensor::made(shape, table.values().at(&found))
}

/// A range along one axis.
pub(super) fn slice(
    input: &Tensor,
    start: &Tensor,
    end: &Tensor,
    axis: &Tensor,
) -> Result<Tensor, Problem> {
    let (&[start], &[end], &[axis]) = (start.ints()?, end.ints()?, axis.ints()?) else {
        return Err(Problem::new("one start, one end and one axis are needed"));
    };
    let axis = input.axis(axis)?;
    let extent = input.shape()[axis] as i64;
    if !(0 <= start && start <= end && end <= extent) {
        let problem = format!("{start} to {end} is no range among {extent}");
        return Err(Problem(problem));
    }
    let places: Vec<i64> = (start..end).collect();
    let places = Tensor::made(vec![places.len()], Values::Ints(places))?;
    gather(input, &places, axis as i64)
}

/// The place of the largest value along an axis, the first among equals; the axis goes away.
pub(super) fn arg_max(input: &Tensor, arguments: &Arguments<'_>) -> Result<Tensor, Problem> {
    arguments.only(&["axis", "keepdims"])?;
    if arguments.int_or("keepdims", 1)? != 0 {
        return Err(Problem::new("the axis is not kept here"));
    }
    let axis = input.axis(arguments.int_or("axis", 0)?)?;
    let (before, extent, behind) = input.around(axis);
    if extent == 0 {
        return Err(Problem::new("nothing is the largest of no values"));
    }
    let values = input.reals()?;
    let mut found = room(&[before, behind])?;
    for start in 0..before {
        for offset in 0..behind {
            let value = |place: usize| values[(start * extent + place) * behind + offset];
            let mut best = 0;
            for place in 1..extent {
                if value(place) > value(best) {
                    best = place;
                }
            }
            found.push(best as i64);
        }
    }
    let shape = [&input.shape()[..axis], &input.shape()[axis + 1..]].concat();
    Tensor::made(shape, Values::Ints(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(shape: &[usize], values: &[i64]) -> Tensor {
        Tensor::new(shape.to_vec(), Values::Ints(values.to_vec())).unwrap()
    }

    #[test]
    fn whole_slices_are_gathered_and_places_beyond_the_end_are_refused() {
        let table = ints(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let found = gather(&table, &ints(&[2], &[2, -3]), 1).unwrap();
        assert_eq!(found, ints(&[2, 2], &[3, 1, 6, 4]));
        assert_eq!(
            gather(&table, &ints(&[], &[1]), 0).unwrap(),
            ints(&[3], &[4, 5, 6])
        );
        assert!(gather(&table, &ints(&[1], &[3]), 1).is_err());
    }

    #[test]
    fn a_range_that_leaves_the_axis_is_refused() {
        let input = ints(&[1, 4], &[1, 2, 3, 4]);
        let one = |value| ints(&[1], &[value]);
        let cut = slice(&input, &one(1), &one(3), &one(1)).unwrap();
        assert_eq!(cut, ints(&[1, 2], &[2, 3]));
        assert!(slice(&input, &one(1), &one(5), &one(1)).is_err());
        assert!(slice(&input, &one(-1), &one(3), &one(1)).is_err());
    }
}
