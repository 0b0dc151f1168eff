-- Verify events:extension on pg

SELECT 1 / count(*) FROM pg_extension WHERE extname = 'millrace';
