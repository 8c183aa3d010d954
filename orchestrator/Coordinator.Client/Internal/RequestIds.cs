namespace Coordinator.Client;

using Google.Protobuf;
using Google.Protobuf.Reflection;

/// <summary>Makes a call repeatable: one id for all of its tries.</summary>
internal static class RequestIds
{
    private const string FieldName = "request_id";

    /// <summary>The request, or a copy with an id if it has a field for one that is empty.</summary>
    public static TRequest Filled<TRequest>(TRequest request)
        where TRequest : class
    {
        if (request is not IMessage message || Field(message) is not { } field || field.Accessor.GetValue(message) is not "")
        {
            return request;
        }
        var copy = request is IDeepCloneable<TRequest> cloneable ? cloneable.Clone() : request;
        field.Accessor.SetValue((IMessage)copy, $"{Guid.CreateVersion7():N}");
        return copy;
    }

    private static FieldDescriptor? Field(IMessage message) => message.Descriptor.FindFieldByName(FieldName);
}
