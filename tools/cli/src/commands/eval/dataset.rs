//! Labelled pictures: two arrays, or a folder and a table of file names and classes.

use std::path::{Path, PathBuf};

use dyadic_kernels::ElemType;
use dyadic_runtime::Model;

use crate::args::Eval;
use crate::error::{Error, Result};
use crate::npy::{self, Array, Data};
use crate::{input, picture};

/// Where pictures come from, read one by one.
#[derive(Debug)]
enum Images {
    /// All in one array.
    Array(Array),
    /// Files in order.
    Files(Vec<PathBuf>),
}

/// Pictures and the label of each, as the files have them.
#[derive(Debug)]
pub struct Dataset {
    images: Images,
    labels: Vec<i64>,
}

impl Dataset {
    pub fn read(images: &Path, labels: &Path) -> Result<Dataset> {
        let ends = |path: &Path, with: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(with));
        if images.is_dir() && ends(labels, "csv") {
            return folder(images, labels);
        }
        if !images.is_dir() && ends(images, "npy") && ends(labels, "npy") {
            return arrays(images, labels);
        }
        let (images, labels) = (images.display(), labels.display());
        Err(format!(
            "--images {images} --labels {labels}: give an .npy of pictures with an .npy of labels, or a folder of \
             pictures with a .csv of labels"
        )
        .into())
    }

    /// The label of every picture as a class of the network.
    pub fn classes(&self, path: &Path, offset: i64, classes: usize) -> Result<Vec<usize>> {
        let class = |(row, &label): (usize, &i64)| {
            let shifted = label.checked_add(offset).and_then(|label| usize::try_from(label).ok());
            shifted.filter(|&class| class < classes).ok_or_else(|| {
                Error::file(
                    path,
                    format!(
                        "row {row} (the first is 0): label {label} with --label-offset {offset} is none of the \
                         classes 0 to {}; choose --label-offset so that all are",
                        classes.saturating_sub(1)
                    ),
                )
            })
        };
        self.labels.iter().enumerate().map(class).collect()
    }

    /// The input bytes of picture `index`.
    pub fn image(&self, model: &Model, index: usize, args: &Eval) -> Result<Vec<u8>> {
        match &self.images {
            Images::Files(files) => {
                let path = &files[index];
                let pixels = picture::read(path)?;
                input::from_pixels(model, 0, pixels).map_err(|e| Error::file(path, e))
            }
            Images::Array(array) => {
                let one = slice(array, index);
                let info = &model.inputs()[0];
                // uint8 pictures are pixels unless the input itself is uint8 of that very shape.
                let tensor = one.shape == info.shape && info.elem == ElemType::U8;
                let pixels = args.pixels || (matches!(one.data, Data::U8(_)) && !tensor);
                input::from_array(model, 0, &one, pixels).map_err(|e| Error::file(&args.images, e))
            }
        }
    }
}

fn arrays(images: &Path, labels: &Path) -> Result<Dataset> {
    let array = npy::read(images)?;
    let Some(numbers) = npy::read(labels)?.integers() else {
        return Err(Error::file(labels, "labels must be integers"));
    };
    let count = array.shape.first().copied().unwrap_or(0);
    if count != numbers.len() || count == 0 {
        return Err(Error::file(labels, format!("{} labels for {count} pictures", numbers.len())));
    }
    Ok(Dataset { images: Images::Array(array), labels: numbers })
}

/// The pictures of a folder that a table names.
fn folder(folder: &Path, path: &Path) -> Result<Dataset> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let rows = table(&text).map_err(|e| Error::file(path, e))?;
    let (files, labels) = rows.into_iter().map(|(file, class)| (folder.join(file), class)).unzip();
    Ok(Dataset { images: Images::Files(files), labels })
}

/// The columns file and class of a .csv.
fn table(text: &str) -> std::result::Result<Vec<(String, i64)>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| e.to_string())?.clone();
    let column = |name: &str| header.iter().position(|h| h == name);
    let (Some(file), Some(class)) = (column("file"), column("class")) else {
        return Err("expected the columns file and class".into());
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let (name, value) = (record.get(file).unwrap_or(""), record.get(class).unwrap_or(""));
        if name.is_empty() {
            return Err(format!("line {line}: the column file is empty"));
        }
        let label = value
            .parse()
            .map_err(|_| format!("line {line}: '{value}' in the column class is not an integer"))?;
        rows.push((name.to_string(), label));
    }
    if rows.is_empty() { Err("names no picture".into()) } else { Ok(rows) }
}

/// Picture `index` of an array, with a first axis of 1.
fn slice(array: &Array, index: usize) -> Array {
    let mut shape = array.shape.clone();
    shape[0] = 1;
    let size: usize = shape.iter().product();
    Array { shape, data: array.data.range(index * size..(index + 1) * size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_by_its_column_names() {
        let text = "\u{feff}class, file,note\r\n3,\"a,b.png\",\n\n 4 , c.png ,x\n";
        assert_eq!(table(text), Ok(vec![("a,b.png".to_string(), 3), ("c.png".to_string(), 4)]));
    }

    #[test]
    fn a_wrong_cell_is_named() {
        let refused = |text: &str| table(text).unwrap_err();
        assert!(refused("file,class\na.png,1\nb.png,x1\n").contains("line 3: 'x1' in the column class"));
        assert!(refused("file,class\n,1\n").contains("line 2: the column file"));
        assert!(refused("file,label\na.png,1\n").contains("columns file and class"));
        assert!(refused("file,class\na.png\n").contains("line: 2"));
        assert!(refused("file,class\n").contains("no picture"));
    }

    #[test]
    fn labels_must_be_classes() {
        let classes = |labels: &[i64], offset| {
            let set = Dataset { images: Images::Files(Vec::new()), labels: labels.to_vec() };
            set.classes(Path::new("y.npy"), offset, 3).map_err(|e| e.to_string())
        };
        assert_eq!(classes(&[0, 2], 0), Ok(vec![0, 2]));
        assert_eq!(classes(&[1, 3], -1), Ok(vec![0, 2]));
        for (labels, offset) in [(&[0, 3][..], 0), (&[0, -1], 0), (&[0, i64::MAX], 1), (&[1, i64::MIN], -1)] {
            let message = classes(labels, offset).unwrap_err();
            let value = labels[1].to_string();
            assert!(
                message.contains("row 1") && message.contains(&value) && message.contains("--label-offset")
            );
        }
    }
}
