use order::serve_any;
use tower_webhook::{inbox::Inbox, store::MemoryInbox};

fn main() {
    serve_any(Inbox::new(MemoryInbox::default()).service());
}
