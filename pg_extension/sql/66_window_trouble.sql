-- What may go wrong while values of a group are computed, and is nothing of the group's: then all of it fails, and is done again. What is
-- not of these classes is an error of the group. The functions that windows compute values with run as whoever reads their views, so everybody
-- may ask; there is nothing in it to hide (docs/decisions/0047-who-may-ask-for-trouble.md). XX000 is what elog() gives in any function in C, and 55000 what many functions
-- raise that may not be called now: on one group they may come for ever, and everything else of the window would wait for it.
CREATE FUNCTION millrace.is_server_trouble(sqlstate text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
  SELECT left(sqlstate, 2) IN ('25',   -- the state of the transaction
                               '40',   -- rolled back: a deadlock, say
                               '53',   -- a lack of memory, disk or connections
                               '55',   -- an object that is not in the state for it: a lock that was not to be had
                               '57',   -- an administrator's doing, or a timeout
                               '58',   -- the operating system
                               'XX')   -- the server itself
         AND sqlstate NOT IN ('55000', 'XX000');
$$;
COMMENT ON FUNCTION millrace.is_server_trouble IS
'Whether an error is the server''s own trouble, which comes and goes, and not that of the values which a window computes for a group.
In: sqlstate, such as 40001. Out: true or false; null for null. Errors: none.';
