//! An order in which each step comes after what it needs, and the cycles that forbid one. Pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What came of ordering.
pub struct Order {
    /// Every place, each after what it needs; among equals, the order of the file. With cycles it is an order all the
    /// same, in which something that is needed comes too late.
    pub places: Vec<usize>,
    /// Cycles that have no place in common, each in the direction of the data, from its first step in the file.
    pub cycles: Vec<Vec<usize>>,
}

/// Orders places by what each of them needs.
pub fn order(needs: &[Vec<usize>]) -> Order {
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    let mut missing: Vec<usize> = needs.iter().map(Vec::len).collect();
    for (place, before) in needs.iter().enumerate() {
        for before in before {
            readers[*before].push(place);
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..needs.len()).filter(|place| missing[*place] == 0).map(Reverse).collect();
    let mut done = vec![false; needs.len()];
    let mut order = Order { places: Vec::with_capacity(needs.len()), cycles: Vec::new() };
    loop {
        while let Some(Reverse(place)) = ready.pop() {
            if std::mem::replace(&mut done[place], true) {
                continue;
            }
            order.places.push(place);
            for reader in &readers[place] {
                missing[*reader] -= 1;
                if missing[*reader] == 0 {
                    ready.push(Reverse(*reader));
                }
            }
        }
        let Some(left) = done.iter().position(|done| !done) else { return order };
        // Whoever is left needs somebody who is left: a cycle. Its steps are let through, to find further ones.
        let cycle = cycle_from(left, needs, &done);
        ready.extend(cycle.iter().copied().map(Reverse));
        order.cycles.push(cycle);
    }
}

/// From any place that is left, needs lead into a cycle.
fn cycle_from(left: usize, needs: &[Vec<usize>], done: &[bool]) -> Vec<usize> {
    let mut walked: Vec<usize> = Vec::new();
    let mut step_of: Vec<Option<usize>> = vec![None; needs.len()];
    let mut here = left;
    let begin = loop {
        if let Some(begin) = step_of[here] {
            break begin;
        }
        step_of[here] = Some(walked.len());
        walked.push(here);
        here = needs[here].iter().copied().find(|before| !done[*before]).unwrap_or(here);
    };
    let mut cycle = walked.split_off(begin);
    cycle.reverse();
    let first = (0..cycle.len()).min_by_key(|turn| cycle[*turn]).unwrap_or(0);
    cycle.rotate_left(first);
    cycle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_after_what_it_needs_and_else_in_the_order_of_the_file() {
        let order = order(&[vec![3], vec![], vec![1, 1], vec![1], vec![]]);
        assert_eq!((order.places, order.cycles.len()), (vec![1, 2, 3, 0, 4], 0));
    }

    #[test]
    fn every_cycle_is_found_and_the_rest_is_ordered() {
        // 0 → 1 → 2 → 0 and 3 → 4 → 3; 5 hangs on both, 6 on none.
        let order = order(&[vec![2], vec![0], vec![1], vec![4], vec![3], vec![2, 3], vec![]]);
        assert_eq!(order.cycles, [vec![0, 1, 2], vec![3, 4]]);
        let mut places = order.places;
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_step_that_needs_itself_is_a_cycle_of_one() {
        assert_eq!(order(&[vec![0]]).cycles, [[0]]);
    }
}
