//! Which rules and table functions each contract knows: a file that names a contract may use no others.

use dyadic_format::operator::TableFunction;
use dyadic_format::{OpKind, Rule};

use crate::quantize::Contract;

/// The rules that `contract` has for operators of that kind.
pub(super) const fn rules(kind: OpKind, contract: Contract) -> &'static [Rule] {
    match (kind, contract) {
        (OpKind::Conv2d | OpKind::DepthwiseConv2d, Contract::Tflite) => {
            &[Rule::RequantTwice, Rule::Accumulate]
        }
        (OpKind::FullyConnected, Contract::Tflite) => {
            &[Rule::RequantOnce, Rule::RequantOnceAway, Rule::Accumulate]
        }
        (OpKind::Conv2d | OpKind::DepthwiseConv2d | OpKind::FullyConnected, Contract::Dyadic) => {
            &[Rule::RequantOnce, Rule::Accumulate]
        }
        (OpKind::Requantize, Contract::Dyadic) => &[Rule::RequantOnce],
        (OpKind::Requantize, Contract::Tflite) => &[Rule::RequantTwice],
        (OpKind::Add | OpKind::Sub, Contract::Dyadic) => &[Rule::AddJoint],
        (OpKind::Add | OpKind::Sub, Contract::Tflite) => &[Rule::AddTflite],
        (OpKind::Mul, Contract::Dyadic) => &[Rule::MulOnce],
        (OpKind::Mul, Contract::Tflite) => &[Rule::MulTwice],
        (OpKind::AveragePool2d, Contract::Dyadic) => &[Rule::AverageOnce],
        (OpKind::AveragePool2d, Contract::Tflite) => &[Rule::AverageHalfAway],
        (OpKind::MaxPool2d, _) => &[Rule::Max],
        (OpKind::Mean, Contract::Dyadic) => &[Rule::MeanOnce],
        (OpKind::Mean, Contract::Tflite) => &[Rule::MeanTwice],
        (OpKind::Table | OpKind::ChannelTable, _) => &[Rule::Table],
        (OpKind::Gather, _) => &[Rule::Move],
        (OpKind::Softmax, _) => &[Rule::Softmax],
        (OpKind::ResizeBilinear, Contract::Dyadic) => &[Rule::Bilinear10],
        (OpKind::ResizeBilinear, Contract::Tflite) => &[Rule::Bilinear10, Rule::BilinearSingle],
        (OpKind::ResizeNearest, Contract::Dyadic) => &[Rule::Nearest],
        (OpKind::ResizeNearest, Contract::Tflite) => &[Rule::NearestSingle],
        (OpKind::ArgMax, _) => &[Rule::ArgMax],
        (OpKind::Pad | OpKind::Concat | OpKind::Reshape | OpKind::StridedCopy | OpKind::Tile, _) => {
            &[Rule::Move]
        }
    }
}

/// Whether `contract` makes tables of that function.
pub(crate) const fn makes(contract: Contract, function: TableFunction) -> bool {
    use TableFunction as F;
    let dyadic = matches!(contract, Contract::Dyadic);
    match function {
        F::RescaleOnce | F::Logistic | F::Tanh | F::HardSwish | F::LeakyRelu => dyadic,
        F::Elu | F::Gelu | F::GeluTanh | F::HardSigmoid | F::Swish | F::Sign => dyadic,
        F::RescaleTwice | F::ReluTflite | F::RescaleFloat | F::QuantizeFloat => !dyadic,
        F::LogisticTflite | F::TanhTflite | F::HardSwishTflite | F::LeakyReluTflite => !dyadic,
    }
}
