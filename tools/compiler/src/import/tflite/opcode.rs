//! The operators of TFLite: which the compiler may know what to do with, and the names of all the others.

use std::fmt;
use std::ops::RangeInclusive;

/// How many tensors an operator takes and makes. Inputs below the start of `inputs` may not be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arity {
    /// Number of inputs, absent optional ones counted.
    pub inputs: RangeInclusive<usize>,
    /// Number of outputs.
    pub outputs: RangeInclusive<usize>,
}

const MANY: usize = usize::MAX;

/// Stamps [`OpCode`] from one table: variant, code, name in the schema, inputs, outputs.
macro_rules! op_codes {
    ($($variant:ident = $code:literal, $name:literal, $inputs:expr, $outputs:expr;)*) => {
        /// An operator's kind.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum OpCode {
            $(#[doc = concat!("`", $name, "`, builtin code ", stringify!($code), ".")] $variant,)*
            /// Any other builtin operator of the schema: its code and its name there.
            Other(i32, &'static str),
            /// A custom operator, by its name.
            Custom(String),
            /// A builtin code that the schema known here does not define.
            Unknown(i32),
        }

        impl OpCode {
            /// The operator of a builtin code. [`OpCode::Custom`] is not made here: its code (32) gives `Unknown`.
            pub fn from_builtin(code: i32) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    other => match OTHER_NAMES.binary_search_by_key(&other, |&(code, _)| code) {
                        Ok(at) => Self::Other(other, OTHER_NAMES[at].1),
                        Err(_) => Self::Unknown(other),
                    },
                }
            }

            /// The builtin code; inverse of [`OpCode::from_builtin`], and 32 for a custom operator.
            pub fn builtin_code(&self) -> i32 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other(code, _) | Self::Unknown(code) => *code,
                    Self::Custom(_) => CUSTOM,
                }
            }

            /// How many tensors the operator takes and makes; `None` for those that are only known by name.
            pub fn arity(&self) -> Option<Arity> {
                match self {
                    $(Self::$variant => Some(Arity { inputs: $inputs, outputs: $outputs }),)*
                    Self::Other(..) | Self::Custom(_) | Self::Unknown(_) => None,
                }
            }

            /// Every operator that has a variant of its own.
            pub fn all_known() -> &'static [OpCode] {
                &[$(Self::$variant),*]
            }
        }

        /// `CONV_2D`, `CUSTOM:TFLite_Detection_PostProcess`, `builtin operator 300`.
        impl fmt::Display for OpCode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($name),)*
                    Self::Other(_, name) => f.write_str(name),
                    Self::Custom(name) => write!(f, "CUSTOM:{name}"),
                    Self::Unknown(code) => write!(f, "builtin operator {code}"),
                }
            }
        }
    };
}

op_codes! {
    Add = 0, "ADD", 2..=2, 1..=1;
    AveragePool2d = 1, "AVERAGE_POOL_2D", 1..=1, 1..=1;
    Concatenation = 2, "CONCATENATION", 1..=MANY, 1..=1;
    Conv2d = 3, "CONV_2D", 2..=3, 1..=1;
    DepthwiseConv2d = 4, "DEPTHWISE_CONV_2D", 2..=3, 1..=1;
    Dequantize = 6, "DEQUANTIZE", 1..=1, 1..=1;
    FullyConnected = 9, "FULLY_CONNECTED", 2..=3, 1..=2;
    Logistic = 14, "LOGISTIC", 1..=1, 1..=1;
    MaxPool2d = 17, "MAX_POOL_2D", 1..=1, 1..=1;
    Mul = 18, "MUL", 2..=2, 1..=1;
    Relu = 19, "RELU", 1..=1, 1..=1;
    ReluN1To1 = 20, "RELU_N1_TO_1", 1..=1, 1..=1;
    Relu6 = 21, "RELU6", 1..=1, 1..=1;
    Reshape = 22, "RESHAPE", 1..=2, 1..=1;
    ResizeBilinear = 23, "RESIZE_BILINEAR", 2..=2, 1..=1;
    Softmax = 25, "SOFTMAX", 1..=1, 1..=1;
    Tanh = 28, "TANH", 1..=1, 1..=1;
    Pad = 34, "PAD", 2..=2, 1..=1;
    Gather = 36, "GATHER", 2..=2, 1..=1;
    Transpose = 39, "TRANSPOSE", 2..=2, 1..=1;
    Mean = 40, "MEAN", 2..=2, 1..=1;
    Sub = 41, "SUB", 2..=2, 1..=1;
    Squeeze = 43, "SQUEEZE", 1..=1, 1..=1;
    StridedSlice = 45, "STRIDED_SLICE", 4..=4, 1..=1;
    Split = 49, "SPLIT", 2..=2, 1..=MANY;
    Cast = 53, "CAST", 1..=1, 1..=1;
    Prelu = 54, "PRELU", 2..=2, 1..=1;
    ArgMax = 56, "ARG_MAX", 2..=2, 1..=1;
    PadV2 = 60, "PADV2", 3..=3, 1..=1;
    Slice = 65, "SLICE", 3..=3, 1..=1;
    TransposeConv = 67, "TRANSPOSE_CONV", 3..=4, 1..=1;
    Tile = 69, "TILE", 2..=2, 1..=1;
    ExpandDims = 70, "EXPAND_DIMS", 2..=2, 1..=1;
    Sum = 74, "SUM", 2..=2, 1..=1;
    ArgMin = 79, "ARG_MIN", 2..=2, 1..=1;
    ReduceMax = 82, "REDUCE_MAX", 2..=2, 1..=1;
    Pack = 83, "PACK", 1..=MANY, 1..=1;
    Unpack = 88, "UNPACK", 1..=1, 1..=MANY;
    ResizeNearestNeighbor = 97, "RESIZE_NEAREST_NEIGHBOR", 2..=2, 1..=1;
    LeakyRelu = 98, "LEAKY_RELU", 1..=1, 1..=1;
    MirrorPad = 100, "MIRROR_PAD", 2..=2, 1..=1;
    SplitV = 102, "SPLIT_V", 3..=3, 1..=MANY;
    Elu = 111, "ELU", 1..=1, 1..=1;
    Quantize = 114, "QUANTIZE", 1..=1, 1..=1;
    HardSwish = 117, "HARD_SWISH", 1..=1, 1..=1;
    Gelu = 150, "GELU", 1..=1, 1..=1;
}

/// The builtin code that stands for a custom operator.
pub(super) const CUSTOM: i32 = 32;

/// The other builtin operators of the schema, ordered by code.
const OTHER_NAMES: &[(i32, &str)] = &[
    (5, "DEPTH_TO_SPACE"),
    (7, "EMBEDDING_LOOKUP"),
    (8, "FLOOR"),
    (10, "HASHTABLE_LOOKUP"),
    (11, "L2_NORMALIZATION"),
    (12, "L2_POOL_2D"),
    (13, "LOCAL_RESPONSE_NORMALIZATION"),
    (15, "LSH_PROJECTION"),
    (16, "LSTM"),
    (24, "RNN"),
    (26, "SPACE_TO_DEPTH"),
    (27, "SVDF"),
    (29, "CONCAT_EMBEDDINGS"),
    (30, "SKIP_GRAM"),
    (31, "CALL"),
    (33, "EMBEDDING_LOOKUP_SPARSE"),
    (35, "UNIDIRECTIONAL_SEQUENCE_RNN"),
    (37, "BATCH_TO_SPACE_ND"),
    (38, "SPACE_TO_BATCH_ND"),
    (42, "DIV"),
    (44, "UNIDIRECTIONAL_SEQUENCE_LSTM"),
    (46, "BIDIRECTIONAL_SEQUENCE_RNN"),
    (47, "EXP"),
    (48, "TOPK_V2"),
    (50, "LOG_SOFTMAX"),
    (51, "DELEGATE"),
    (52, "BIDIRECTIONAL_SEQUENCE_LSTM"),
    (55, "MAXIMUM"),
    (57, "MINIMUM"),
    (58, "LESS"),
    (59, "NEG"),
    (61, "GREATER"),
    (62, "GREATER_EQUAL"),
    (63, "LESS_EQUAL"),
    (64, "SELECT"),
    (66, "SIN"),
    (68, "SPARSE_TO_DENSE"),
    (71, "EQUAL"),
    (72, "NOT_EQUAL"),
    (73, "LOG"),
    (75, "SQRT"),
    (76, "RSQRT"),
    (77, "SHAPE"),
    (78, "POW"),
    (80, "FAKE_QUANT"),
    (81, "REDUCE_PROD"),
    (84, "LOGICAL_OR"),
    (85, "ONE_HOT"),
    (86, "LOGICAL_AND"),
    (87, "LOGICAL_NOT"),
    (89, "REDUCE_MIN"),
    (90, "FLOOR_DIV"),
    (91, "REDUCE_ANY"),
    (92, "SQUARE"),
    (93, "ZEROS_LIKE"),
    (94, "FILL"),
    (95, "FLOOR_MOD"),
    (96, "RANGE"),
    (99, "SQUARED_DIFFERENCE"),
    (101, "ABS"),
    (103, "UNIQUE"),
    (104, "CEIL"),
    (105, "REVERSE_V2"),
    (106, "ADD_N"),
    (107, "GATHER_ND"),
    (108, "COS"),
    (109, "WHERE"),
    (110, "RANK"),
    (112, "REVERSE_SEQUENCE"),
    (113, "MATRIX_DIAG"),
    (115, "MATRIX_SET_DIAG"),
    (116, "ROUND"),
    (118, "IF"),
    (119, "WHILE"),
    (120, "NON_MAX_SUPPRESSION_V4"),
    (121, "NON_MAX_SUPPRESSION_V5"),
    (122, "SCATTER_ND"),
    (123, "SELECT_V2"),
    (124, "DENSIFY"),
    (125, "SEGMENT_SUM"),
    (126, "BATCH_MATMUL"),
    (127, "PLACEHOLDER_FOR_GREATER_OP_CODES"),
    (128, "CUMSUM"),
    (129, "CALL_ONCE"),
    (130, "BROADCAST_TO"),
    (131, "RFFT2D"),
    (132, "CONV_3D"),
    (133, "IMAG"),
    (134, "REAL"),
    (135, "COMPLEX_ABS"),
    (136, "HASHTABLE"),
    (137, "HASHTABLE_FIND"),
    (138, "HASHTABLE_IMPORT"),
    (139, "HASHTABLE_SIZE"),
    (140, "REDUCE_ALL"),
    (141, "CONV_3D_TRANSPOSE"),
    (142, "VAR_HANDLE"),
    (143, "READ_VARIABLE"),
    (144, "ASSIGN_VARIABLE"),
    (145, "BROADCAST_ARGS"),
    (146, "RANDOM_STANDARD_NORMAL"),
    (147, "BUCKETIZE"),
    (148, "RANDOM_UNIFORM"),
    (149, "MULTINOMIAL"),
    (151, "DYNAMIC_UPDATE_SLICE"),
    (152, "RELU_0_TO_1"),
    (153, "UNSORTED_SEGMENT_PROD"),
    (154, "UNSORTED_SEGMENT_MAX"),
    (155, "UNSORTED_SEGMENT_SUM"),
    (156, "ATAN2"),
    (157, "UNSORTED_SEGMENT_MIN"),
    (158, "SIGN"),
    (159, "BITCAST"),
    (160, "BITWISE_XOR"),
    (161, "RIGHT_SHIFT"),
    (162, "STABLEHLO_LOGISTIC"),
    (163, "STABLEHLO_ADD"),
    (164, "STABLEHLO_DIVIDE"),
    (165, "STABLEHLO_MULTIPLY"),
    (166, "STABLEHLO_MAXIMUM"),
    (167, "STABLEHLO_RESHAPE"),
    (168, "STABLEHLO_CLAMP"),
    (169, "STABLEHLO_CONCATENATE"),
    (170, "STABLEHLO_BROADCAST_IN_DIM"),
    (171, "STABLEHLO_CONVOLUTION"),
    (172, "STABLEHLO_SLICE"),
    (173, "STABLEHLO_CUSTOM_CALL"),
    (174, "STABLEHLO_REDUCE"),
    (175, "STABLEHLO_ABS"),
    (176, "STABLEHLO_AND"),
    (177, "STABLEHLO_COSINE"),
    (178, "STABLEHLO_EXPONENTIAL"),
    (179, "STABLEHLO_FLOOR"),
    (180, "STABLEHLO_LOG"),
    (181, "STABLEHLO_MINIMUM"),
    (182, "STABLEHLO_NEGATE"),
    (183, "STABLEHLO_OR"),
    (184, "STABLEHLO_POWER"),
    (185, "STABLEHLO_REMAINDER"),
    (186, "STABLEHLO_RSQRT"),
    (187, "STABLEHLO_SELECT"),
    (188, "STABLEHLO_SUBTRACT"),
    (189, "STABLEHLO_TANH"),
    (190, "STABLEHLO_SCATTER"),
    (191, "STABLEHLO_COMPARE"),
    (192, "STABLEHLO_CONVERT"),
    (193, "STABLEHLO_DYNAMIC_SLICE"),
    (194, "STABLEHLO_DYNAMIC_UPDATE_SLICE"),
    (195, "STABLEHLO_PAD"),
    (196, "STABLEHLO_IOTA"),
    (197, "STABLEHLO_DOT_GENERAL"),
    (198, "STABLEHLO_REDUCE_WINDOW"),
    (199, "STABLEHLO_SORT"),
    (200, "STABLEHLO_WHILE"),
    (201, "STABLEHLO_GATHER"),
    (202, "STABLEHLO_TRANSPOSE"),
    (203, "DILATE"),
    (204, "STABLEHLO_RNG_BIT_GENERATOR"),
    (205, "REDUCE_WINDOW"),
    (206, "STABLEHLO_COMPOSITE"),
    (207, "STABLEHLO_SHIFT_LEFT"),
    (208, "STABLEHLO_CBRT"),
    (209, "STABLEHLO_CASE"),
];
