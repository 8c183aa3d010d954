namespace Coordinator.Client;

/// <summary>Tasks that are made for whoever wants them: most callers do not look at the headers, nor at a reply once writing failed.</summary>
internal static class Observation
{
    /// <summary>The same task, whose failure is no unobserved exception if nobody awaits it.</summary>
    public static TTask Observed<TTask>(this TTask task)
        where TTask : Task
    {
        _ = task.ContinueWith(
            static failed => failed.Exception,
            CancellationToken.None,
            TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
        return task;
    }
}
