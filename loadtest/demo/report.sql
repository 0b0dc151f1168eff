-- What became of the weather. Variables: ms (milliseconds it took), events, missing, damaged (as the producer says).
\pset footer off

\echo 'Rate and outcome: every event ended in exactly one place'
SELECT to_char(s.events, 'FM999,999,999') AS events,
       to_char(:ms / 1000.0, 'FM990.0') || ' s' AS took,
       to_char(s.events * 1000 / :ms, 'FM999,999,999') AS "events/s",
       s.written, s.filtered, s.superseded, s.dead,
       CASE WHEN s.events = :events AND s.filtered = :missing AND s.dead = :damaged
            THEN 'as produced' ELSE 'NOT AS PRODUCED' END AS "check"
FROM millrace.stats AS s WHERE s.pipeline = 'weather';
\echo '  filtered: observations that are missing in the data (null)'
\echo '  superseded: of the hour that came twice when the clocks went back the later event counts; the earlier one is'
\echo '    superseded when they come in one batch, and overwritten (written) when they do not'
\echo

\echo 'The weather of 2013, in SI units'
SELECT station, name, altitude_m AS "alt m", observations, mean_temp_c AS "mean °C", round(min_temp_c::numeric, 1) AS "min °C",
       round(max_temp_c::numeric, 1) AS "max °C", round(max_gust_m_s::numeric, 1) AS "gust m/s", precipitation_mm AS "rain mm"
FROM weather_by_station ORDER BY station;

\echo 'What failed and why: the original bytes are kept'
SELECT count, stage, sqlstate, left(message, 70) AS "message (of the last one)", left(payload, 56) AS "its payload begins"
FROM millrace.dead_letter_groups ORDER BY count DESC, stage, sqlstate, message;
