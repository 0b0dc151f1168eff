-- Revert events:extension from pg
-- Not dropped: it may serve pipelines that are not ours. DROP EXTENSION millrace; does it by hand.

SELECT 1;
