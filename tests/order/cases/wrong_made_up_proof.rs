use std::sync::Arc;
use tower_webhook::{Delivery, Verified};

fn forge(delivery: Arc<Delivery>) -> Verified {
    Verified { delivery, read: false, stage: todo!() }
}

fn main() {
    let _ = forge;
}
