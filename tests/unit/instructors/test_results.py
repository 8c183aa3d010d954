from instructors.results import ResultCache, Results


def test_what_was_used_longest_ago_goes_first():
    """Over all sessions, large results stay within the limit; small ones are not counted."""
    cache, one, other = ResultCache(limit_bytes=25_000), Results(), Results()
    cache.put(one, (0, -1), "a", 10_000)
    cache.put(other, (0, -1), "b", 10_000)
    cache.put(other, (1, -1), "small", 100)
    assert cache.get(one, (0, -1)) == "a"
    cache.put(one, (1, -1), "c", 10_000)
    assert cache.get(other, (0, -1)) is None
    assert [cache.get(one, (0, -1)), cache.get(one, (1, -1)), cache.get(other, (1, -1))] == ["a", "c", "small"]
    assert cache.size_bytes == 20_000


def test_a_result_that_comes_again_replaces_the_first():
    """The size of a replaced result is not counted twice."""
    cache, results = ResultCache(), Results()
    cache.put(results, (0, -1), "a", 10_000)
    cache.put(results, (0, -1), "b", 20_000)
    assert (cache.get(results, (0, -1)), cache.size_bytes) == ("b", 20_000)
    cache.put(results, (0, -1), "c", 10)
    assert (cache.get(results, (0, -1)), cache.size_bytes) == ("c", 0)


def test_one_result_above_the_limit_is_kept_until_the_next():
    """A result larger than the limit can still be used by the step that follows."""
    cache, results = ResultCache(limit_bytes=5_000), Results()
    cache.put(results, (0, -1), "a", 10_000)
    assert cache.get(results, (0, -1)) == "a"
    cache.put(results, (1, -1), "b", 10_000)
    assert cache.get(results, (0, -1)) is None
    cache.drop_all(results)
    assert (cache.size_bytes, results.values) == (0, {})
