//! The order of nodes.

use dyadic_onnx_schema::ModelProto;
use proptest::prelude::*;

use crate::{graph, node, read_proto, small};

/// A chain x -> v0 -> v1 -> ..., whose nodes stand in the file in the order given.
fn chain(order: &[usize]) -> ModelProto {
    let mut model = small();
    graph(&mut model).node = order
        .iter()
        .map(|&at| {
            let input = if at == 0 { "x".to_owned() } else { format!("v{}", at - 1) };
            node(&at.to_string(), "Relu", &[&input], &[&format!("v{at}")])
        })
        .collect();
    graph(&mut model).output[0].name = Some(format!("v{}", order.len() - 1));
    model
}

#[test]
fn nodes_in_order_stay_where_they_are() {
    let mut model = small();
    // Two branches, written by turns.
    graph(&mut model).node = vec![
        node("", "Relu", &["x"], &["a0"]),
        node("", "Relu", &["x"], &["b0"]),
        node("", "Relu", &["a0"], &["a1"]),
        node("", "Relu", &["b0"], &["b1"]),
        node("", "Add", &["b1", "a1"], &["z"]),
    ];
    let read = read_proto(&model).unwrap();
    assert_eq!(read.nodes.iter().map(|node| node.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_late_node_is_moved_in_front_of_its_reader() {
    let read = read_proto(&chain(&[0, 3, 1, 2, 4])).unwrap();
    assert_eq!(read.nodes.iter().map(|node| node.index).collect::<Vec<_>>(), [0, 2, 3, 1, 4]);
}

#[test]
fn a_long_chain_backwards() {
    let order: Vec<usize> = (0..50_000).rev().collect();
    let read = read_proto(&chain(&order)).unwrap();
    assert!(read.nodes.iter().map(|node| node.index).eq((0..50_000).rev()));
}

#[test]
fn circles_are_refused_by_name() {
    let mut model = chain(&[0, 1, 2, 3]);
    graph(&mut model).node[1].input.push("v3".to_owned());
    let expected = "node 1 (Relu, \"1\") needs its own output, through nodes 3, 2";
    assert_eq!(read_proto(&model).unwrap_err(), expected);

    let mut model = chain(&[0]);
    graph(&mut model).node[0].input = vec!["v0".to_owned()];
    assert_eq!(read_proto(&model).unwrap_err(), "node 0 (Relu, \"0\") needs its own output");

    let mut model = chain(&(0..1000).collect::<Vec<_>>());
    graph(&mut model).node[0].input = vec!["v999".to_owned()];
    let expected =
        "node 0 (Relu, \"0\") needs its own output, through nodes 999, 998, 997, 996, 995, 994, 993, 992";
    assert_eq!(read_proto(&model).unwrap_err(), expected);
}

proptest! {
    /// Any order in the file gives an order that works (`read_proto` checks that), with every node in it.
    #[test]
    fn any_order_is_sorted(order in Just((0..40).collect::<Vec<usize>>()).prop_shuffle()) {
        let read = read_proto(&chain(&order)).unwrap();
        prop_assert_eq!(read.nodes.len(), 40);
        let names: Vec<usize> = read.nodes.iter().map(|node| node.name.parse().unwrap()).collect();
        prop_assert!(names.is_sorted(), "{:?}", names);
    }
}
