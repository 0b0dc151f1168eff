-- The launcher looks into this database once the script's transaction has committed.
SELECT millrace._wake();
