//! What a network answers, and what of it is right.

use std::collections::BTreeMap;

use dyadic_kernels::ElemType;
use dyadic_runtime::{Model, TensorInfo};

use crate::commands::run::top;

/// How the first output says the class.
#[derive(Debug)]
pub enum Answers {
    /// One value per class: the largest wins.
    Ranked(TensorInfo),
    /// The class itself, as ARG_MAX makes it.
    Class(TensorInfo),
}

impl Answers {
    /// Refuses outputs that are no answer to one picture.
    pub fn of(model: &Model) -> std::result::Result<Answers, String> {
        let output = &model.outputs()[0];
        let refused =
            || format!("output '{}' of shape {:?} is no class of a picture", output.name, output.shape);
        let index = output.elem == ElemType::S32 && output.scale.is_none();
        match output.elements() {
            1 if index => Ok(Answers::Class(output.clone())),
            n if !index && output.shape.last() == Some(&n) => Ok(Answers::Ranked(output.clone())),
            _ => Err(refused()),
        }
    }

    /// Number of classes; for an output that is the class, as many as the compiler proved.
    pub fn classes(&self) -> usize {
        match self {
            Answers::Ranked(info) => info.elements(),
            Answers::Class(info) => usize::try_from(info.range.1).unwrap_or(0) + 1,
        }
    }

    /// The most likely classes, best first: five, or the only one that is given.
    pub fn best(&self, output: &[u8]) -> Vec<usize> {
        match self {
            Answers::Ranked(info) => top(info, output, 5).into_iter().map(|(class, _)| class).collect(),
            Answers::Class(info) => usize::try_from(info.elem.load(output, 0)).into_iter().collect(),
        }
    }

    /// Whether there is a second-best class at all.
    pub fn ranks(&self) -> bool {
        matches!(self, Answers::Ranked(_))
    }
}

/// Right answers of a class, and all of its pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub right: usize,
    pub all: usize,
}

impl Counts {
    pub fn recall(self) -> f64 {
        self.right as f64 / self.all.max(1) as f64
    }
}

/// What a run over a set counted.
#[derive(Debug, Default)]
pub struct Score {
    pub first: usize,
    pub five: usize,
    pub classes: BTreeMap<usize, Counts>,
    pub predictions: Vec<Option<usize>>,
}

impl Score {
    /// One picture of class `label` and the network's answers to it.
    pub fn add(&mut self, label: usize, best: &[usize]) {
        let right = best.first() == Some(&label);
        let class = self.classes.entry(label).or_default();
        class.all += 1;
        class.right += usize::from(right);
        self.first += usize::from(right);
        self.five += usize::from(best.contains(&label));
        self.predictions.push(best.first().copied());
    }

    pub fn pictures(&self) -> usize {
        self.predictions.len()
    }

    /// A share of all pictures.
    pub fn share(&self, count: usize) -> f64 {
        Counts { right: count, all: self.pictures() }.recall()
    }

    /// Classes from the worst recall to the best.
    pub fn worst_first(&self) -> Vec<(usize, Counts)> {
        let mut classes: Vec<(usize, Counts)> = self.classes.iter().map(|(&c, &n)| (c, n)).collect();
        classes.sort_by(|a, b| a.1.recall().total_cmp(&b.1.recall()));
        classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_per_class() {
        let mut score = Score::default();
        for (label, best) in [(1, [1, 2]), (1, [2, 1]), (0, [2, 1])] {
            score.add(label, &best);
        }
        assert_eq!((score.first, score.five, score.pictures()), (1, 2, 3));
        let expected = [(0, Counts { right: 0, all: 1 }), (1, Counts { right: 1, all: 2 })];
        assert_eq!(score.worst_first(), expected);
        assert_eq!(score.predictions, [Some(1), Some(2), Some(2)]);
    }
}
