//! The layers in their right order.
