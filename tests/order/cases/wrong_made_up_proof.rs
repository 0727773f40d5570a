use std::sync::Arc;
use tower_webhook::{Delivery, Verified, delivery::Final};

fn forge(delivery: Arc<Delivery>, stage: Final) -> Verified {
    Verified { delivery, read: false, stage }
}

fn main() {
    let _ = forge;
}
