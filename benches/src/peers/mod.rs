//! Those beside which it is measured.

pub mod pipe;
pub mod python;
