//! A process is killed, or stopped, at every instruction of what it does with something that it shares, and the others go on: nobody waits for
//! ever, nothing is torn or comes twice, and nothing is lost but what it held.
//!
//! An ordinary run kills at some of the instructions, evenly spread; `--ignored` at each of them.

#[path = "../support/mod.rs"]
mod support;

mod memory;
mod pipe;
mod queue;
mod step;
mod stopped;
mod sync;

use std::time::{Duration, Instant};

use step::End;
use support::Case;

/// How long an ordinary run may take for one scenario.
const BUDGET: Duration = Duration::from_secs(1);

/// Sets something up, has it done by a process that is killed or stopped before that instruction, and looks at what is left.
type Scenario = fn(u64) -> End;

fn main() {
    support::run(|| {
        let scenarios: [(&str, Scenario); 27] = [
            ("a_putter_beside_one_that_waits", queue::put_beside_a_waiter),
            ("a_getter_beside_one_that_waits", queue::get_beside_a_waiter),
            ("a_getter_that_waits_itself", queue::wait_and_get),
            ("a_closer", queue::close),
            ("one_that_gives_memory_back", queue::shrinking),
            (
                "one_that_gives_back_what_another_left",
                queue::shrinking_after_another,
            ),
            ("one_that_is_done", queue::task_done),
            ("a_putter_that_is_stopped", stopped::a_putter),
            ("a_getter_that_is_stopped", stopped::a_getter),
            ("one_that_waits_and_is_stopped", stopped::one_that_waits),
            ("an_owner_of_a_lock", sync::lock_and_unlock),
            ("an_owner_of_an_rlock", sync::lock_twice),
            ("one_that_sets_an_event", sync::set_an_event),
            ("one_that_clears_an_event", sync::clear_an_event),
            ("one_that_waits_for_an_event", sync::wait_for_an_event),
            ("one_that_releases_a_semaphore", sync::release_a_semaphore),
            ("one_that_waits_for_a_semaphore", sync::acquire_a_semaphore),
            ("one_that_notifies", sync::notify),
            (
                "one_that_waits_for_a_notification",
                sync::wait_for_a_notification,
            ),
            ("the_first_at_a_barrier", sync::come_to_a_barrier_first),
            ("the_last_at_a_barrier", sync::come_to_a_barrier_last),
            ("one_that_updates_a_value", memory::update_a_value),
            ("one_that_writes_to_an_array", memory::write_to_an_array),
            ("a_sender", pipe::send_a_short_message),
            ("a_sender_of_several_packets", pipe::send_a_long_message),
            ("a_receiver", pipe::receive_a_short_message),
            (
                "a_receiver_of_several_packets",
                pipe::receive_a_long_message,
            ),
        ];
        let mut cases = Vec::new();
        for (name, scenario) in scenarios {
            let some = move || killed_at_some(name, scenario);
            cases.push(Case::new(name, some));
            let each = move || killed_at_each(name, scenario);
            let each = Case::new(format!("{name}_at_each_instruction"), each);
            cases.push(each.limit(Duration::from_secs(3600)).only_when_asked());
        }
        let costs = Case::new(
            "a_queue_costs_no_system_call_while_nobody_waits",
            queue::no_system_call,
        );
        cases.push(costs);
        cases.push(Case::new("a_putter_while_the_ring_grows", queue::growing));
        cases.push(
            Case::new("many_at_random_moments", queue::at_random).limit(Duration::from_secs(120)),
        );
        cases
    });
}

/// How many instructions it takes if it is not killed, and those at which it is killed.
fn instructions(scenario: Scenario) -> (u64, Vec<u64>) {
    let length = match scenario(u64::MAX) {
        End::Finished(count) => count,
        killed @ End::Killed(_) => panic!("{killed:?}, by nobody"),
    };
    // Where it went round and round, as one does that waits or copies, the first turns are like the others.
    let instructions = match length {
        0..20_000 => (0..length).collect(),
        _ => step::soon_reached(),
    };
    (length, instructions)
}

fn killed_at_some(name: &str, scenario: Scenario) {
    let (length, instructions) = instructions(scenario);
    let begun = Instant::now();
    let mut killed = 0;
    // In turns that each leave out half as many as the one before, from the end on: what matters is near it.
    let mut step = instructions.len().next_power_of_two();
    'turns: while step > 1 {
        let mut at = instructions.len().saturating_sub(step / 2);
        loop {
            scenario(instructions[at]);
            killed += 1;
            if begun.elapsed() > BUDGET {
                break 'turns;
            }
            let Some(before) = at.checked_sub(step) else {
                break;
            };
            at = before;
        }
        step /= 2;
    }
    eprintln!("{name}: killed or stopped at {killed} of {length} instructions");
}

fn killed_at_each(name: &str, scenario: Scenario) {
    let (length, instructions) = instructions(scenario);
    let killed = instructions.len();
    for at in instructions {
        scenario(at);
    }
    eprintln!("{name}: killed or stopped at {killed} of {length} instructions");
}
