//! What the columns of a table are to be learned from as: the steps of series, a text, or a table.

use super::{
    columns::without_useless,
    kinds::ColumnKind,
    text::malformed,
    writing::{are_sentences, is_spelled, size_of_texts},
};
use crate::{
    error::DataError,
    notice::Notice,
    oddities::Oddities,
    read::{checked_texts, nothing},
    series::{too_large, wide},
    source::{Cells, Column, DataKind, Dataset, RawTargets, Request, Series, Table},
};

/// What the columns are: the steps of series, one text beside nothing else, or a table.
pub(super) fn dataset_of(
    request: &Request,
    columns: Vec<Column>,
    targets: RawTargets,
    notices: &mut Vec<Notice>,
    oddities: &mut Oddities,
) -> Result<Dataset, DataError> {
    match request.kind {
        Some(DataKind::Images) => {
            return Err(nothing(request, "a table holds no images".to_string()));
        }
        Some(DataKind::Series) => return series_of(request, &columns, targets, notices),
        Some(DataKind::Text) => {
            let column = largest_text(request, &columns)?;
            return Ok(texts_of(request, column, targets, notices));
        }
        None if wide::looks_like_series(&columns) => {
            notices.push(wide::taken_for_series(&columns));
            return series_of(request, &columns, targets, notices);
        }
        None | Some(DataKind::Table) => {}
    }
    let columns = match columns.len() {
        1 => columns,
        _ => columns
            .into_iter()
            .map(|column| by_words(request, column))
            .collect(),
    };
    let is_open = |column: &Column| !request.columns.contains_key(&column.name);
    let mut names = columns.iter().filter(|column| is_open(column));
    let names = names.find(|column| is_spelled(column)).cloned();
    let columns = without_useless(columns, &request.columns, oddities);
    if let (None, Some(names)) = (request.kind, names)
        && columns.iter().all(|column| column.name == names.name)
    {
        oddities.left_out.retain(|column| column.name != names.name);
        return Ok(texts_of(request, &names, targets, notices));
    }
    match &columns[..] {
        [] => {
            let problem = "no column is left to predict from".to_string();
            Err(nothing(request, problem))
        }
        [only] if request.kind.is_none() && matches!(only.cells, Cells::Texts(_)) => {
            Ok(texts_of(request, only, targets, notices))
        }
        _ => {
            refuse_characters(request)?;
            Ok(Dataset::Table(Table { columns, targets }))
        }
    }
}

/// A column beside others, of which words can be told: a text whose words are not set apart is one word, a category.
fn by_words(request: &Request, column: Column) -> Column {
    let Column { name, cells } = column;
    let cells = match cells {
        Cells::Texts(words) if !request.columns.contains_key(&name) && !are_sentences(&words) => {
            Cells::Words(words)
        }
        cells => cells,
    };
    Column { name, cells }
}

/// The column of texts: of those that are said to be some, or else of all, the one that holds most.
fn largest_text<'a>(request: &Request, columns: &'a [Column]) -> Result<&'a Column, DataError> {
    let is_asked = |column: &&Column| {
        request
            .columns
            .get(&column.name)
            .is_some_and(|kind| kind.is_text())
    };
    let asked: Vec<&Column> = columns.iter().filter(is_asked).collect();
    let candidates = match asked.is_empty() {
        true => columns.iter().collect(),
        false => asked,
    };
    let texts = candidates.into_iter().max_by(|a, b| {
        let [a, b] = [a, b].map(|column| size_of_texts(&column.cells));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let texts = texts.filter(|column| column.cells.written().is_some());
    texts.ok_or_else(|| {
        let problem = "no column holds words that could be a text".to_string();
        nothing(request, problem)
    })
}

/// Beside other columns, a text is the words that stand in it.
fn refuse_characters(request: &Request) -> Result<(), DataError> {
    let mut asked = request.columns.iter();
    let Some((name, _)) = asked.find(|(_, kind)| **kind == ColumnKind::Characters) else {
        return Ok(());
    };
    let problem = format!(
        "`{name}` cannot be read by characters beside other columns: --kind text learns from it alone, and \
         --as {name}=words reads its words"
    );
    Err(malformed(&request.path, problem))
}

fn series_of(
    request: &Request,
    columns: &[Column],
    targets: RawTargets,
    notices: &mut Vec<Notice>,
) -> Result<Dataset, DataError> {
    if let Some(odd) = columns
        .iter()
        .find(|c| !matches!(c.cells, Cells::Numbers(_)))
    {
        let problem = format!(
            "column `{}` holds no numbers, so it is no step of a series (--ignore leaves it out)",
            odd.name
        );
        return Err(nothing(request, problem));
    }
    notices.extend(too_large(wide::numbers(columns)));
    let series = wide::series_of(columns, targets.len());
    Ok(Dataset::Series(Series { targets, ..series }))
}

fn texts_of(
    request: &Request,
    column: &Column,
    targets: RawTargets,
    notices: &mut Vec<Notice>,
) -> Dataset {
    let Some(cells) = column.cells.written() else {
        unreachable!("a column of numbers is no text")
    };
    let asked = request.columns.get(&column.name);
    let asked = asked.and_then(|kind| kind.unit());
    let texts: Vec<String> = cells
        .iter()
        .map(|cell| cell.as_deref().unwrap_or_default().to_string())
        .collect();
    Dataset::Texts(checked_texts(&column.name, texts, targets, asked, notices))
}
