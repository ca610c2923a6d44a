//! Those beside which it is measured.

pub mod futex;
pub mod pipe;
pub mod python;
