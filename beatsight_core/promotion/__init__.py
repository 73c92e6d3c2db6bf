"""From a judged run to the champion, and back: criteria, gate record, versions, rollback, archive."""
